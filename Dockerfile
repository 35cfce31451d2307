# evdet on a CPU, from its wheel:
#   make dist && docker build -t evdet .
#   docker run --rm -v "$PWD:/data" evdet detect drive.raw --output drive.mp4
#
# The wheel of PyAV contains x264 and x265 (GPL-2.0 or later): an image that is passed on also passes
# those on, and must keep to their terms (docs/reference/dependencies.md).
FROM python:3.11-slim

# constraints.txt pins the versions that the tests ran with. HDF5's compressions SZ, SPERR, ZFP,
# FCIDECOMP and HTJ2K take 139 MB; evdet refuses files that use them.
COPY dist/*.whl constraints.txt /tmp/evdet/
RUN pip install --no-cache-dir --disable-pip-version-check -c /tmp/evdet/constraints.txt \
        --extra-index-url https://download.pytorch.org/whl/cpu \
        "evdet[onnx,ros] @ file://$(ls /tmp/evdet/*.whl)" \
    && cd "$(python -c 'import hdf5plugin; print(hdf5plugin.PLUGIN_PATH)')" \
    && rm -f libh5sz.so libh5sz3.so libh5sperr.so libh5zfp.so libh5fcidecomp.so libh5htj2k.so \
    && rm -r /tmp/evdet

# Files in a mounted folder belong to this user: docker run --user "$(id -u):$(id -g)" changes it.
RUN useradd --create-home --uid 1000 evdet && mkdir /data && chown evdet /data
ENV HOME=/home/evdet MPLCONFIGDIR=/tmp/matplotlib NUMBA_CACHE_DIR=/tmp/numba
USER evdet
WORKDIR /data
ENTRYPOINT ["evdet"]
CMD ["--help"]
