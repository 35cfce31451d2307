"""Network cameras on loopback: MJPEG over HTTP, MPEG-TS over UDP, and MJPEG over RTSP."""

import contextlib
import io
import itertools
import socket
import threading
import time

import av
import numpy as np

SIZE = (48, 64)  # height, width


def picture(number):
    """A grey picture whose brightness tells its number, up to 20."""
    return np.full((*SIZE, 3), 10 + 12 * (number % 20), np.uint8)


def number_of(frame):
    """The number of a picture that was sent."""
    return round((float(frame.mean()) - 10) / 12)


def jpeg(number):
    """A picture as JPEG."""
    file = io.BytesIO()
    with av.open(file, "w", format="mjpeg") as container:
        track = container.add_stream("mjpeg", rate=25)
        track.height, track.width, track.pix_fmt = *SIZE, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
        container.mux([*track.encode(frame), *track.encode()])
    return file.getvalue()


@contextlib.contextmanager
def serving(answer):
    """A server whose connections are answered by a function of the socket; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=talk, args=(connection,), daemon=True).start()

        def talk(connection):
            with connection, contextlib.suppress(OSError):
                answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def over_http(numbers, *, period=0.02, at_end=None):
    """An answer of MJPEG over HTTP, as network cameras give it."""

    def answer(connection):
        connection.recv(4096)
        connection.sendall(
            b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=next\r\n\r\n"
        )
        for number in numbers:
            image = jpeg(number)
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
            connection.sendall(head.encode() + image + b"\r\n")
            time.sleep(period)
        if at_end is not None:
            at_end.wait(30)

    return answer


def over_rtsp(numbers, *, period=0.02):
    """An answer of MJPEG over RTSP, with the packets in the connection itself."""

    def answer(connection):
        file = connection.makefile("rb")
        while True:
            lines = list(iter(lambda: file.readline().strip().decode(), ""))
            if not lines:
                return
            method, address, _ = lines[0].split(" ")
            sequence = next(one for one in lines if one.lower().startswith("cseq"))
            more, body = "", ""
            if method == "OPTIONS":
                more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            elif method == "DESCRIBE":
                body = (
                    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
                    "m=video 0 RTP/AVP 26\r\na=control:track\r\n"
                )
                more = (
                    f"Content-Base: {address}/\r\nContent-Type: application/sdp\r\n"
                    f"Content-Length: {len(body)}\r\n"
                )
            elif method == "SETUP":
                more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
            elif method == "PLAY":
                more = "Session: 1\r\n"
            connection.sendall(f"RTSP/1.0 200 OK\r\n{sequence}\r\n{more}\r\n{body}".encode())
            if method == "PLAY":
                for packet in _rtp_packets(numbers, period):
                    connection.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)
                return

    return answer


def _rtp_packets(numbers, period):
    """What PyAV's writer of RTP sends, one packet each."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        with av.open(f"rtp://127.0.0.1:{receiver.getsockname()[1]}", "w", format="rtp") as sender:
            track = sender.add_stream("mjpeg", rate=25)
            track.height, track.width, track.pix_fmt = *SIZE, "yuvj420p"
            for number in numbers:
                frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
                sender.mux(track.encode(frame))
                time.sleep(period)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        yield receiver.recv(1 << 16)


@contextlib.contextmanager
def sending_udp(port, *, period=0.02):
    """Send MPEG-TS to a port of this computer, whoever listens, until the end of the block."""
    has_ended = threading.Event()

    def send():
        with av.open(f"udp://127.0.0.1:{port}", "w", format="mpegts") as container:
            track = container.add_stream("mpeg2video", rate=25)
            track.height, track.width, track.pix_fmt, track.gop_size = *SIZE, "yuv420p", 5
            for number in itertools.count():
                frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
                container.mux(track.encode(frame))
                if has_ended.wait(period):
                    return

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    yield
    has_ended.set()
    thread.join()


def free_port(kind=socket.SOCK_STREAM):
    """A port that is not used at the moment."""
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
