"""Text of events as spreadsheets, pandas, R, NumPy, MATLAB and OpenEB write it."""

import gzip

import numpy as np
import pytest

from evdet.events import ReadOptions, RecordingError, SensorSize, open_recording

# Half a millisecond apart, as an ordinary camera in front of little motion.
TIMES = [1234 + 517 * k + k * k % 5 for k in range(60)]
EVENTS = [(t, k * 37 % 240, k * 53 % 180, k % 3 % 2) for k, t in enumerate(TIMES)]


def lines(separator=",", *, head=None, end="\n", order="txyp", row=None):
    columns = {name: [event[k] for event in EVENTS] for k, name in enumerate("txyp")}
    cells = zip(*(columns[name] for name in order), strict=True)
    rows = [separator.join(map(str, row(*each) if row else each)) for each in cells]
    return end.join([*([head] if head else []), *rows]) + end


def read(folder, content, *, name="a.csv", **options):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    recording = open_recording(path, options=ReadOptions(**options))
    return np.concatenate(list(recording.blocks())).tolist()


def refusal(folder, content, **options):
    with pytest.raises(RecordingError) as caught:
        read(folder, content, **options)
    assert "a.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def seconds(t, decimal="."):
    return f"{t / 1e6:.6f}".replace(".", decimal)


TABLES = {
    "a trailing comma": lines(end=",\n"),
    "a trailing comma in lines and header": lines(end=",\n", head="t,x,y,p"),
    "a trailing comma below a header": "t,x,y,p\n" + lines(end=",\n"),
    "a unit in the header": lines(head="timestamp (us),x,y,polarity"),
    "quoted names with units": lines(head='"timestamp [us]","x [px]","y [px]","polarity"'),
    "names in capitals": lines(head="Timestamp,X,Y,Polarity"),
    "other names": lines(";", head="ts;px;py;pol"),
    "a comment as the header": lines(" ", head="# time_us x y p"),
    "a comment of % as the header": lines(" ", head="% t x y p"),
    "seconds by name": lines(head="t [s],x,y,p", row=lambda t, *rest: (seconds(t), *rest)),
    "milliseconds by name": lines(
        head="x,y,p,t (ms)", order="xypt", row=lambda x, y, p, t: (x, y, p, f"{t / 1e3:.3f}")
    ),
    "nanoseconds by name": lines(head="t_ns,x,y,p", row=lambda t, *rest: (t * 1000, *rest)),
    "a µ in another encoding": b"timestamp (\xb5s),x,y,p\n" + lines().encode(),
    "quoted numbers": lines(row=lambda *cells: [f'"{cell}"' for cell in cells]),
    "decimal commas": lines(";", row=lambda t, *rest: (seconds(t, ","), *rest)),
    "decimal commas and tabs": lines("\t", row=lambda t, *rest: (seconds(t, ","), *rest)),
    "decimal commas and blanks": lines(" ", row=lambda t, *rest: (seconds(t, ","), *rest)),
    "decimal commas in quotes": lines(
        row=lambda t, *rest: (f'"{seconds(t, ",")}"', *(f'"{cell},0"' for cell in rest))
    ),
    "UTF-16 with a mark": lines("\t", head="t\tx\ty\tp", end="\r\n").encode("utf-16"),
    "UTF-16 without a mark": lines().encode("utf-16-le"),
    "UTF-16 in the other order": lines().encode("utf-16-be"),
    "UTF-8 with a mark": lines(head="t,x,y,p").encode("utf-8-sig"),
    "carriage returns alone": lines(head="t,x,y,p", end="\r"),
    "blank lines": lines(end="\n\n"),
    "an index of pandas": lines(head=",t,x,y,p", row=lambda t, *rest: (TIMES.index(t), t, *rest)),
    "an index without names": lines(
        head=",0,1,2,3", row=lambda t, *rest: (TIMES.index(t), t, *rest)
    ),
    "numbers as names": lines(head="0,1,2,3"),
    "an index without a header": lines(row=lambda t, *rest: (TIMES.index(t), t, *rest)),
    "an index of R": lines(
        " ", head='"t" "x" "y" "p"', row=lambda t, *r: (f'"{TIMES.index(t) + 1}"', t, *r)
    ),
    "words for polarity": lines(row=lambda t, x, y, p: (t, x, y, ("OFF", "ON")[p])),
    "truth in capitals": lines(row=lambda t, x, y, p: (t, x, y, ("FALSE", "TRUE")[p])),
    "exponents and signs": lines(
        row=lambda t, x, y, p: (f"+{t}", f"{x:.3e}", f"{y:+d}", 2 * p - 1)
    ),
    "whole numbers as floats": lines(row=lambda *cells: map(float, cells)),
    "columns that do not count": lines(
        head="note,t,x,y,p,empty", row=lambda *cells: ('"a, b"', *cells, "")
    ),
    "text in tabs": lines("\t", head="the note\tt\tx\ty\tp", row=lambda *c: ("a b", *c)),
    "the geometry of OpenEB": "%geometry:240,180\n" + lines(order="xypt"),
    "comments of %": "% a camera\n%another\n" + lines(" "),
}


@pytest.mark.parametrize("table", TABLES)
def test_tables_of_other_tools_are_read(tmp_path, table):
    assert read(tmp_path, TABLES[table]) == EVENTS


@pytest.mark.parametrize("suffix", [".dat", ".raw", ".bin", ".txt", ".events"])
@pytest.mark.parametrize("table", ["comments of %", "the geometry of OpenEB", "blank lines"])
def test_text_is_known_by_its_content(tmp_path, table, suffix):
    assert read(tmp_path, TABLES[table], name=f"a{suffix}") == EVENTS


def test_the_geometry_of_openeb_is_the_size_and_the_order(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("%geometry:640,480\n1,1,0,7\n1,1,1,8\n")
    recording = open_recording(path)
    assert recording.size == SensorSize(480, 640)
    assert np.concatenate(list(recording.blocks())).tolist() == [(7, 1, 1, 0), (8, 1, 1, 1)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("header", "size"), [("t,x@640,y@480,on", (480, 640)), ("t,x@34,y@48,on", (48, 34))]
)
def test_the_sensor_size_in_faerys_header_is_read(tmp_path, header, size, end):
    path = tmp_path / "a.csv"
    path.write_bytes(f"{header}{end}7,1,2,0{end}8,33,1,1{end}".encode())
    recording = open_recording(path)
    assert recording.size == SensorSize(*size)
    assert np.concatenate(list(recording.blocks())).tolist() == [(7, 1, 2, 0), (8, 33, 1, 1)]


def test_an_event_outside_the_size_of_the_header_is_damage(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("t,x@20,y@48,on\n7,1,2,0\n8,33,1,1\n")
    with pytest.raises(RecordingError, match=r"outside the sensor 20x48.*--sensor-size WxH"):
        list(open_recording(path).blocks())


def test_openebs_file_without_events_has_none(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("%geometry:640,480\n")
    assert len(open_recording(path, options=ReadOptions(format="text"))) == 0


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("a,b,c,d", "its header has the columns a, b, c, d: no column for t, x, y, p"),
        ("timestamp (us),x,b,pol", r"columns timestamp (us), x, b, pol: no column for y"),
        ("t,timestamp,x,y,p", "t, timestamp, x, y, p: two for t"),
        ("sec,nsec,x,y,p", "sec, nsec, x, y, p: two for t"),
        ("t,x,y,p,q", "its header has 5 columns, a line 4"),
    ],
)
def test_a_header_that_does_not_fit_is_named_truly(tmp_path, head, why):
    assert why in refusal(tmp_path, lines(head=head))


def test_an_option_names_columns_that_the_header_does_not(tmp_path):
    assert read(tmp_path, lines(head="a,b,c,d"), columns="txyp") == EVENTS
    swapped = [(t, x, y, p) for t, y, x, p in EVENTS]
    assert read(tmp_path, lines(head="t,x,y,p"), columns="tyxp") == swapped
    wide = lines(row=lambda t, *rest: (t, 7, *rest))
    assert "a row has 5 columns" in refusal(tmp_path, wide)
    assert read(tmp_path, wide, columns="t-xyp") == EVENTS
    assert "a line has 5 columns, and --columns txyp names 4" in refusal(
        tmp_path, wide, columns="txyp"
    )


def test_the_unit_does_not_change_within_a_file(tmp_path):
    assert "time is a decimal" in refusal(tmp_path, lines() + "99999.5,1,1,1\n")
    late = lines(row=lambda t, *rest: (f"{t}.0", *rest)) + "99999.50,1,1,1\n"
    assert f"line {len(EVENTS) + 1} is not an event: the time is a decimal" in refusal(
        tmp_path, late
    )
    assert read(tmp_path, late, time_unit="us")[-1] == (100_000, 1, 1, 1)


def test_nanoseconds_since_1970_are_exact(tmp_path):
    start = 1_700_000_000_123_456_789
    rows = "".join(f"{start + 1000 * k},1,{k},1\n" for k in range(20))
    assert [t for t, *_ in read(tmp_path, rows)] == [1_700_000_000_123_457 + k for k in range(20)]


def test_dates_and_archives_are_refused_for_what_they_are(tmp_path):
    dates = lines(head="t,x,y,p", row=lambda t, *rest: (f"2024-01-01 00:00:00.{t:06d}", *rest))
    assert "one of its columns is not a number: '2024-01-01" in refusal(tmp_path, dates)
    assert "a gzip archive. Unpack it first: gunzip" in refusal(
        tmp_path, gzip.compress(lines().encode())
    )


@pytest.mark.parametrize("header", ["Time (s)\tX\tY\tP", "Time (s) X Y P", "Time [s]  x  y  p"])
def test_a_unit_in_brackets_belongs_to_its_name_in_any_header(tmp_path, header):
    path = tmp_path / "a.tsv"
    mark = "\t" if "\t" in header else " "
    rows = [mark.join(["0.000007", "1", "2", "0"]), mark.join(["0.000008", "3", "4", "1"])]
    path.write_text("\n".join([header, *rows]) + "\n")
    assert np.concatenate(list(open_recording(path).blocks())).tolist() == [
        (7, 1, 2, 0),
        (8, 3, 4, 1),
    ]


def test_a_header_of_tabs_over_lines_of_blanks_names_their_columns(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("p\tt (us)\tx\ty\n0 7 1 2\n1 8 3 4\n")
    assert np.concatenate(list(open_recording(path).blocks())).tolist() == [
        (7, 1, 2, 0),
        (8, 3, 4, 1),
    ]


@pytest.mark.parametrize("form", ['"{:,}",{},{},{}', "{:,};{};{};{}", "german"])
@pytest.mark.parametrize("start", [900, 5_000_000])
def test_times_grouped_by_thousands_are_not_taken_for_fractions(tmp_path, form, start):
    path = tmp_path / "a.csv"
    mark = "," if form.startswith('"') else ";"
    lines = [f"t_us{mark}x{mark}y{mark}p"]
    for k in range(50):
        t = start + 100 * k
        line = f"{t:,};{k};{k};1".replace(",", ".") if form == "german" else form.format(t, k, k, 1)
        lines.append(line)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordingError, match=r"grouped by thousands.*without separators"):
        open_recording(path)


def test_times_of_three_decimals_are_no_thousands_where_they_are_milliseconds(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("t_ms,x,y,p\n1.228,1,2,0\n2.000,3,4,1\n")
    events = np.concatenate(list(open_recording(path).blocks()))
    assert events["t"].tolist() == [1228, 2000]


@pytest.mark.parametrize("line", ['{"t":7,"x":1,"y":2,"p":0}', "(7, 1, 2, 0)"])
def test_the_first_line_that_is_no_event_is_shown(tmp_path, line):
    path = tmp_path / "a.txt"
    path.write_text(f"{line}\n{line[:-1]} \n")
    with pytest.raises(RecordingError) as caught:
        open_recording(path)
    assert f"a line is {line!r}" in str(caught.value)


@pytest.mark.parametrize(("off", "on"), [(1, 2), (0, 255), (0, 2)])
def test_other_polarities_are_refused_and_the_remedy_named(tmp_path, off, on):
    rows = [(1000 + 10 * k, 7 * k % 64, 5 * k % 48, on if k % 2 else off) for k in range(40)]
    lines = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    path = tmp_path / "a.txt"
    path.write_text(lines)
    with pytest.raises(RecordingError, match=rf"column of {off} and {on} is the polarity.*0 and 1"):
        open_recording(path)
    path.write_text("t x y p\n" + lines)
    with pytest.raises(RecordingError, match=r"write others, such as 1 and 2, as 0 and 1 first"):
        list(open_recording(path).blocks())


@pytest.mark.parametrize("header", ["", "t|x|y|p\n", " t | x | y | p \n"])
def test_bars_separate_columns(tmp_path, header):
    path = tmp_path / "a.txt"
    rows = [(1000 + 10 * k, 7 * k % 64, 5 * k % 48, k % 2) for k in range(40)]
    mark = " | " if header.startswith(" ") else "|"
    path.write_text(header + "".join(mark.join(map(str, row)) + "\n" for row in rows))
    assert np.concatenate(list(open_recording(path).blocks())).tolist() == rows


def test_columns_that_nothing_separates_are_refused_and_separators_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{1000 + 10 * k}:{k}:{k}:1\n" for k in range(40)))
    with pytest.raises(
        RecordingError, match=r"one column\. Separate .* by commas, semicolons, tabs"
    ):
        open_recording(path)
