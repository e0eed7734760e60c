"""unigeoseg segment on larger scenes and with files beside them."""

import json
import sys
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.shutil
import scenes
from networks import save_tiny
from range_server import serving
from rasterio.crs import CRS

from unigeoseg.cli import main
from unigeoseg.predict.output.schema import COLUMNS, TAGS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """1400 x 40 pixels: more than one view, in EPSG:32650 at 0.5 m."""
    pixels = np.random.default_rng(0).integers(0, 255, (3, 40, 1400), dtype=np.uint8)
    return scenes.write(tmp_path / "big.tif", pixels, crs="EPSG:32650", transform=scenes.UTM50)


def segment(monkeypatch, model: Path, *arguments: object) -> int:
    line = ["unigeoseg", "segment", *map(str, arguments), "--model", str(model)]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def geojson(path: Path, *features: dict) -> Path:
    rows = [{"type": "Feature", **feature} for feature in features]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": rows}))
    return path


def lonlat(*pixels: tuple[float, float]) -> list[list[float]]:
    """Pixels of `UTM50` in degrees."""
    from unigeoseg.geo.grid import WGS84, transformer

    move = transformer(CRS.from_epsg(32650), WGS84)
    return [list(move.transform(500_000 + x / 2, 4_400_000 - y / 2)) for x, y in pixels]


def polygon(*pixels: tuple[float, float]) -> dict:
    ring = lonlat(*pixels, pixels[0])
    return {"geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {}}


def test_a_large_scene_is_written_in_every_format(monkeypatch, model, big, tmp_path, capsys):
    out = [tmp_path / f"out.{suffix}" for suffix in "tif geojson gpkg parquet fgb shp".split()]
    options = [part for path in out for part in ("-o", path)]
    assert segment(monkeypatch, model, big, "roof", "--threshold", 0.1, *options) == 0
    with rasterio.open(out[0]) as written:
        assert written.shape == (40, 1400)
        assert written.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    counts = {path.suffix: pyogrio.read_info(path)["features"] for path in (*out[1:3], *out[4:])}
    assert len(set(counts.values())) == 1 and counts[".gpkg"] >= 1
    row = json.loads(out[1].read_text())["features"][0]["properties"]
    assert row["prompt"] == "roof" and row["area_m2"] > 0 and row["length_m"] > 0
    assert list(row) == [column.name for column in COLUMNS]
    import pyarrow.parquet as parquet

    table = parquet.read_table(out[3])
    meta = json.loads(table.schema.metadata[b"geo"])
    assert meta["version"] == "1.1.0"
    assert meta["columns"]["geometry"]["crs"]["id"]["code"] == 32650
    assert table.num_rows == counts[".gpkg"]
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_outlines_in_another_crs(monkeypatch, model, big, tmp_path, capsys):
    out = tmp_path / "out.gpkg"
    options = ["--threshold", 0.1, "--to-crs", "EPSG:3857", "-o", out]
    assert segment(monkeypatch, model, big, "roof", *options) == 0
    info = pyogrio.read_info(out)
    assert info["crs"] == "EPSG:3857"
    assert info["total_bounds"][0] == pytest.approx(117 * 111_319.49, rel=1e-3)


def test_only_inside_an_area(monkeypatch, model, big, tmp_path, capsys):
    aoi = geojson(tmp_path / "aoi.geojson", polygon((100, 5), (300, 5), (300, 35), (100, 35)))
    out = tmp_path / "out.tif"
    options = ["--threshold", 0, "--aoi", aoi, "-o", out]
    assert segment(monkeypatch, model, big, "roof", *options) == 0
    with rasterio.open(out) as written:
        assert written.width in (200, 201, 202) and written.height in (30, 31, 32)
        assert written.transform.c == pytest.approx(500_050, abs=0.6)
        assert written.read(1)[2:-2, 2:-2].all()


def test_areas_that_cannot_be_used(monkeypatch, model, big, photo_scene, tmp_path, *, capsys):
    far = geojson(tmp_path / "far.geojson", polygon((5000, 5), (5100, 5), (5100, 35)))
    point = {"type": "Point", "coordinates": lonlat((10, 10))[0]}
    dot = geojson(tmp_path / "dot.geojson", {"geometry": point, "properties": {}})
    broken = tmp_path / "broken.geojson"
    broken.write_text("{")
    for scene, aoi, message in (
        (big, far, "does not overlap the scene"),
        (big, dot, "has no polygon"),
        (big, broken, "not a readable file of vectors"),
        (big, tmp_path / "none.geojson", "does not exist"),
        (photo_scene, dot, "without a CRS"),
    ):
        options = ["roof", "--aoi", aoi, "-o", tmp_path / "out.tif"]
        assert segment(monkeypatch, model, scene, *options) == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_prompts_of_a_file_keep_their_properties(monkeypatch, model, big, tmp_path, capsys):
    point = {"type": "Point", "coordinates": lonlat((700.5, 20.5))[0]}
    box = polygon((900, 5), (940, 5), (940, 30), (900, 30)) | {"properties": {"id": 8, "score": 3}}
    places = geojson(tmp_path / "places.geojson", {"geometry": point, "properties": {"id": 7}}, box)
    out = tmp_path / "out.geojson"
    options = ["--prompts", places, "--threshold", 0.0, "-o", out, "-o", tmp_path / "out.tif"]
    assert segment(monkeypatch, model, big, *options) == 0
    rows = [each["properties"] for each in json.loads(out.read_text())["features"]]
    assert [row["id"] for row in rows] == [7, 8]
    assert rows[1]["prompt_score"] == 3 and 0 <= rows[1]["score"] <= 1
    with rasterio.open(tmp_path / "out.tif") as written:
        mask = written.read(1)
    assert mask.shape == (40, 1400) and 0 < mask.sum() <= sum(row["area_px"] for row in rows)


def test_options_that_do_not_go_together(monkeypatch, model, big, tmp_path, capsys):
    places = geojson(tmp_path / "places.geojson", polygon((0, 0), (9, 0), (9, 9)))
    for options, message in (
        (["roof", "--classes", "roof,road"], "both a text and --classes"),
        (["--classes", "roof,,road"], "give different names"),
        (["--classes", "roof,roof"], "give different names"),
        (["--point", "5,5", "--simplify", "2", "--regularise", "1"], "leave out --simplify"),
        (["--classes", "roof,road", "--answer"], "has no words to say"),
        (["--prompts", places, "--point", "5,5"], "both --prompts and coordinates"),
        (["roof", "--gsd", "0.1"], "is not enlarged"),
        (["roof", "--gsd", "nan"], "is not enlarged"),
        (["roof", "--stretch", "5,1"], "low before high"),
        (["roof", "--stretch", "5"], "give LOW,HIGH"),
        (["roof", "--stretch", big], "has no tag"),
        (["roof", "--bands", "landsat"], "landsat has 7 or 8"),
        (["roof", "--to-crs", "nonsense"], "not a known CRS"),
        (["roof", "--device", "the fast one"], "give cpu, cuda"),
    ):
        assert segment(monkeypatch, model, big, *options, "-o", tmp_path / "out.tif") == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out.tif").exists()


def test_a_coarser_look(monkeypatch, model, big, tmp_path, capsys):
    out = tmp_path / "out.tif"
    assert segment(monkeypatch, model, big, "roof", "--gsd", 2, "-o", out) == 0
    with rasterio.open(out) as written:
        assert written.shape == (10, 350)
        assert written.transform.a == 2


@pytest.mark.parametrize("shape", [(1, 1), (3, 4000), (2000, 1)])
def test_odd_sizes(monkeypatch, model, tmp_path, capsys, *, shape):
    pixels = np.random.default_rng(0).integers(0, 255, (3, *shape), dtype=np.uint8)
    scene = scenes.write(tmp_path / "odd.tif", pixels, crs="EPSG:32650", transform=scenes.UTM50)
    out, outlines = tmp_path / "out.tif", tmp_path / "out.geojson"
    options = ["roof", "--threshold", 0.0, "-o", out, "-o", outlines]
    assert segment(monkeypatch, model, scene, *options) == 0
    with rasterio.open(out) as written:
        assert written.shape == shape and written.read(1).all()


def test_a_scene_that_is_damaged_far_inside_leaves_nothing(
    monkeypatch, model, big, tmp_path, capsys
):
    content = big.read_bytes()
    big.write_bytes(content[: len(content) * 2 // 3])
    out = [tmp_path / "out.tif", tmp_path / "out.gpkg"]
    options = ["roof", "--stretch", "0,255", "-o", out[0], "-o", out[1]]
    assert segment(monkeypatch, model, big, *options) == 2
    assert "damaged" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["big.tif"]


def test_a_network_that_breaks_off_leaves_nothing(monkeypatch, model, tmp_path, capsys):
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    (tmp_path / "served").mkdir()
    (tmp_path / "out").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (3, 2048, 2048), dtype=np.uint8)
    place = {"crs": "EPSG:32650", "transform": scenes.UTM50}
    plain = scenes.write(tmp_path / "plain.tif", pixels, **place)
    cog = tmp_path / "served" / "a.tif"
    rasterio.shutil.copy(plain, cog, driver="COG", blocksize=256)
    out = [tmp_path / "out" / name for name in ("a.tif", "a.gpkg")]
    with serving(tmp_path / "served", most=int(cog.stat().st_size * 0.8)) as served:
        arguments = [f"{served.url}/a.tif", "roof", "-o", out[0], "-o", out[1]]
        assert segment(monkeypatch, model, *arguments) == 2
    assert "damaged" in " ".join(capsys.readouterr().err.split())
    assert list((tmp_path / "out").iterdir()) == []


def test_straight_walls(monkeypatch, model, big, tmp_path, capsys):
    out = tmp_path / "out.gpkg"
    options = ["roof", "--threshold", 0.1, "--regularise", 1.0, "-o", out]
    assert segment(monkeypatch, model, big, *options) == 0
    assert pyogrio.read_info(out)["features"] >= 1


def one_of_each(tmp_path: Path) -> dict[str, list[object]]:
    """Every kind of prompt, and options that go with all of them."""
    places = geojson(
        tmp_path / "places.geojson",
        polygon((900, 5), (940, 5), (940, 30)) | {"properties": {"id": 8, "model": "theirs"}},
    )
    return {
        "text": ["the roof"],
        "question": ["where could boats float?"],
        "points": ["--point", "700,20", "--point", "710.5,20", "--not-point", "5,5"],
        "box": ["--box", "690,5,740,35", "--box", "720,10,790,39"],
        "map": ["--point", "500350,4399990", "--crs", "EPSG:32650"],
        "file": ["--prompts", places],
        "classes": ["--classes", "roof,water"],
    }


def test_every_prompt_writes_the_same_columns_and_tags(monkeypatch, model, big, tmp_path, capsys):
    rows, tags = {}, {}
    for name, prompt in one_of_each(tmp_path).items():
        out = [tmp_path / f"{name}.{suffix}" for suffix in ("tif", "gpkg", "geojson")]
        options = [part for path in out for part in ("-o", path)]
        assert segment(monkeypatch, model, big, *prompt, "--threshold", 0.2, *options) == 0
        with rasterio.open(out[0]) as written:
            tags[name] = written.tags()
        features = json.loads(out[2].read_text())["features"]
        rows[name] = [feature["properties"] for feature in features]
        columns = [column.name for column in COLUMNS]
        file_columns = ["id", "prompt_model"] if name == "file" else []
        assert list(rows[name][0]) == file_columns + columns
        assert pyogrio.read_info(out[1])["fields"].tolist() == file_columns + columns
        assert set(TAGS) < set(tags[name])
        assert tags[name]["UNIGEOSEG_WEIGHTS"] == rows[name][0]["weights"]
        assert len(rows[name][0]["weights"]) == 16 and rows[name][0]["source"] == "big.tif"
    kinds = {name: found[0]["prompt_type"] for name, found in rows.items()}
    assert kinds == {
        "text": "text",
        "question": "question",
        "points": "points",
        "box": "box",
        "map": "points",
        "file": "box",
        "classes": "text",
    }
    names = {name: tag["UNIGEOSEG_PROMPT"] for name, tag in tags.items()}
    assert names | {"file": ""} == {
        "text": "the roof",
        "question": "where could boats float?",
        "points": "points 700, 20; 710.5, 20 without point 5, 5",
        "box": "box 690, 5, 740, 35; box 720, 10, 790, 39",
        "map": "point 500350, 4399990 (EPSG:32650)",
        "file": "",
        "classes": "roof; water",
    }
    assert {row["prompt"] for row in rows["box"]} == set(names["box"].split("; "))
    assert {row["category"] for row in rows["classes"]} <= {"roof", "water"}
    assert (tags["classes"]["LABEL_2"], tags["box"]["LABEL_1"]) == ("water", names["box"])
    assert rows["file"][0]["prompt_model"] == "theirs"


def test_options_of_outlines_go_with_every_prompt(monkeypatch, model, big, tmp_path, capsys):
    aoi = geojson(tmp_path / "aoi.geojson", polygon((650, 0), (960, 0), (960, 25), (650, 25)))
    for name, prompt in one_of_each(tmp_path).items():
        out = [tmp_path / f"{name}.tif", tmp_path / f"{name}.gpkg"]
        for options in (
            ["--aoi", aoi, "--no-instances"],
            ["--simplify", "2", "--min-area", "3"],
            ["--regularise", "1"],
            ["--regularise", "1", "--no-instances"],
        ):
            files = ["-o", out[0], "-o", out[1], "--overwrite"]
            arguments = [big, *prompt, "--threshold", 0.3, *options, *files]
            assert segment(monkeypatch, model, *arguments) == 0, capsys.readouterr().err
            meta, _, shapes, columns = pyogrio.raw.read(out[1])
            found = dict(zip(meta["fields"], columns, strict=True))
            assert len(shapes)
            if "--no-instances" in options:
                assert len(set(found["prompt"])) == len(shapes)
            if "--min-area" in options and name != "file":
                assert found["area_m2"].min() >= 3
            if aoi in options:
                with rasterio.open(out[0]) as written:
                    assert written.height in (25, 26, 27) and written.width in (310, 311, 312)
                    assert 0 < written.read(1).sum()
                x0, y0, x1, y1 = meta["geometry_type"] and pyogrio.read_info(out[1])["total_bounds"]
                assert x0 >= 500_324 and x1 <= 500_481 and y0 >= 4_399_987 and y1 <= 4_400_001


def test_the_file_of_prompts_is_read_once(monkeypatch, model, big, tmp_path, capsys):
    from unigeoseg.predict import prompt_files

    calls = []
    read_shapes = prompt_files.read_shapes
    monkeypatch.setattr(
        prompt_files, "read_shapes", lambda *given: calls.append(given) or read_shapes(*given)
    )
    prompt = one_of_each(tmp_path)["file"]
    assert segment(monkeypatch, model, big, *prompt, "-o", tmp_path / "out.gpkg") == 0
    assert len(calls) == 1
