"""A tiny copy of every published source, in its published layout, and what must be read of it.

Each builder writes one or two images of 64 x 48 pixels and returns what is expected of the first.
"""

import json
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

WIDTH, HEIGHT = 64, 48
PATCH = (slice(10, 30), slice(8, 28))
"""Rows and columns where every fixture's mask shows its first class."""


@dataclass(frozen=True)
class Expected:
    """What reading the first image must give.

    Attributes:
        key: Its path.
        split: Its split.
        group: Its group, without the source's name.
        classes: Category in PATCH and outside of it; None if the source has no class mask.
        objects, boxes: Categories of what has a mask, and a box.
        corners: Corners of the first box.
        texts: Instructions.
        gsd_m: Metres per pixel.
        crs: EPSG code of its grid.
    """

    key: str
    split: str = ""
    group: str = ""
    classes: tuple[int, int] | None = None
    objects: tuple[int, ...] = ()
    boxes: tuple[int, ...] = ()
    corners: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()
    gsd_m: float | None = None
    crs: int | None = None
    more: Mapping[str, object] = field(default_factory=dict)


def rgb() -> np.ndarray:
    """Pixels (H, W, 3) uint8 whose red rises to the right and green downwards."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack((x * 3, y * 4, np.full_like(x, 7)), axis=2).astype(np.uint8)


def image(path: Path, pixels: np.ndarray | None = None) -> None:
    """Write an 8-bit image by the suffix of its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rgb() if pixels is None else pixels
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    assert cv2.imwrite(str(path), bgr)


def tiff(path: Path, bands: np.ndarray, *, epsg: int | None = None, gsd: float = 1.0) -> None:
    """Write bands (C, H, W) as GeoTIFF, with a grid if a CRS is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    place = {}
    if epsg:
        place = {"crs": f"EPSG:{epsg}", "transform": Affine(gsd, 0, 500000, 0, -gsd, 4000000)}
    count, height, width = bands.shape
    profile = {"count": count, "height": height, "width": width, "dtype": bands.dtype.name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", **profile, **place) as file:
            file.write(bands)


def many_bands(count: int, dtype: str = "uint8") -> np.ndarray:
    """Bands (C, H, W): the colours of `rgb`, then flat ones."""
    bands = np.full((count, HEIGHT, WIDTH), 9, dtype)
    bands[:3] = np.moveaxis(rgb(), 2, 0)
    return bands


def coded(inside: object, outside: object) -> np.ndarray:
    """A mask (H, W) of ids, or (H, W, 3) of colours."""
    mask = np.empty((HEIGHT, WIDTH, 3) if isinstance(inside, tuple) else (HEIGHT, WIDTH), np.uint8)
    mask[:] = outside
    mask[PATCH] = inside
    return mask


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def chesapeake(root: Path) -> Expected:
    folder = "de_1m_2013_extended-debuffered-val_tiles"
    tile = f"{folder}/m_3807502_ne_18_1"
    tiff(root / f"{tile}_naip-new.tif", many_bands(4), epsg=26918)
    tiff(root / f"{tile}_lc.tif", coded(6, 15)[None], epsg=26918)
    tiff(root / f"{tile}_nlcd.tif", coded(11, 11)[None], epsg=26918)
    return Expected(
        f"{tile}_naip-new.tif",
        "val",
        "de_1m_2013/m_3807502_ne_18_1",
        (9, 65535),
        gsd_m=1,
        crs=26918,
    )


def deepglobe(root: Path) -> Expected:
    image(root / "train/119_sat.jpg")
    # Not pure: the publisher asks to cut at 128.
    image(root / "train/119_mask.png", coded((3, 250, 255), (255, 1, 254)))
    return Expected("train/119_sat.jpg", "train", "train/119_sat.jpg", (1, 3), gsd_m=0.5)


def five_billion_pixels(root: Path) -> Expected:
    bands = many_bands(4, "uint16")[[2, 1, 0, 3]] * 10  # blue, green, red, near infrared
    tiff(root / "Image_16bit_BGRNir/GF2_PMS1__L1A0000564539-MSS1.tiff", bands)
    stem = "GF2_PMS1__L1A0000564539-MSS1_24label"
    image(root / f"Annotation__index/{stem}.png", coded(2, 0))
    image(root / f"Annotation__color/{stem}.tif", coded((0, 200, 0), (0, 0, 0)))
    name = "GF2_PMS1__L1A0000564539-MSS1"
    return Expected(f"Image_16bit_BGRNir/{name}.tiff", "", name, (13, 65535), gsd_m=4)


def flair(root: Path) -> Expected:
    zone = "D004_2021/Z1_NN"
    tiff(root / f"flair_aerial_train/{zone}/img/IMG_000001.tif", many_bands(5), epsg=2154, gsd=0.2)
    tiff(root / f"flair_labels_train/{zone}/msk/MSK_000001.tif", coded(9, 19)[None], epsg=2154)
    tiff(root / f"flair_1_aerial_test/{zone}/img/IMG_000002.tif", many_bands(5), epsg=2154)
    tiff(root / f"flair_1_labels_test/{zone}/msk/MSK_000002.tif", coded(18, 1)[None], epsg=2154)
    key = f"flair_aerial_train/{zone}/img/IMG_000001.tif"
    return Expected(key, "train", zone, (50, 65535), gsd_m=0.2, crs=2154)


def gid_15(root: Path) -> Expected:
    scene = "GF2_PMS1__L1A0000647767-MSS1"
    image(root / f"image_RGB/{scene}.tif")
    image(root / f"label_15classes/{scene}_15label.tif", coded((0, 150, 200), (0, 0, 0)))
    image(root / f"img_dir/val/{scene}-b.tif")
    image(root / f"ann_dir/val/{scene}-b_15label.png", coded(15, 4))
    return Expected(f"image_RGB/{scene}.tif", "", scene, (22, 65535), gsd_m=4)


def globe230k(root: Path) -> Expected:
    image(root / "patch_image/000001.jpg")
    image(root / "patch_label/000001.png", coded(10, 1))
    return Expected("patch_image/000001.jpg", "", "patch_image/000001.jpg", (39, 57), gsd_m=1)


def loveda(root: Path) -> Expected:
    image(root / "Train/Rural/images_png/0.png")
    image(root / "Train/Rural/masks_png/0.png", coded(7, 1))
    image(root / "Val/Urban/images_png/2522.png")
    image(root / "Val/Urban/masks_png/2522.png", coded(2, 0))
    key = "Train/Rural/images_png/0.png"
    return Expected(key, "train", key, (2, 0), gsd_m=0.3)


def minifrance(root: Path) -> Expected:
    tile = "06-2014-0950-6315-LA93-0M50-E080"
    tiff(root / f"Nice/BDORTHO/{tile}.tif", many_bands(3), epsg=2154, gsd=0.5)
    tiff(root / f"Nice/UrbanAtlas/{tile}_UA2012.tif", coded(2, 15)[None], epsg=2154, gsd=0.5)
    return Expected(
        f"Nice/BDORTHO/{tile}.tif", "", f"Nice/{tile}", (26, 65535), gsd_m=0.5, crs=2154
    )


def potsdam(root: Path) -> Expected:
    image(root / "2_Ortho_RGB/top_potsdam_2_13_RGB.tif")
    image(root / "5_Labels_all/top_potsdam_2_13_label.tif", coded((255, 255, 0), (255, 0, 0)))
    return Expected("2_Ortho_RGB/top_potsdam_2_13_RGB.tif", "test", "2_13", (63, 0), gsd_m=0.05)


def vaihingen(root: Path) -> Expected:
    image(root / "top/top_mosaic_09cm_area1.tif")
    mask = coded((0, 255, 255), (0, 0, 255))
    image(root / "gts_for_participants/top_mosaic_09cm_area1.tif", mask)
    return Expected("top/top_mosaic_09cm_area1.tif", "train", "area1", (61, 25), gsd_m=0.09)


def fair1m(root: Path) -> Expected:
    image(root / "train/part1/images/0.tif")
    points = "".join(f"<point>{p}</point>" for p in ("10,5", "20,10", "15,20", "5,15", "10,5"))
    found = (
        "<object><coordinate>pixel</coordinate><type>rectangle</type>"
        "<possibleresult><name>{}</name></possibleresult><points>" + points + "</points></object>"
    )
    names = ("Boeing737", "Small Car")
    objects = "".join(found.format(name) for name in names)
    source = "<source><filename>0.tif</filename><origin>GF2/GF3</origin></source>"
    text(
        root / "train/part1/labelXml/0.xml",
        f'<?xml version="1.0" encoding="utf-8"?><annotation>{source}<objects>{objects}</objects>'
        "</annotation>",
    )
    key = "train/part1/images/0.tif"
    corners = (10, 5, 20, 10, 15, 20, 5, 15)
    return Expected(key, "train", key, boxes=(93, 63), corners=corners)


def dior(root: Path) -> Expected:
    image(root / "JPEGImages-trainval/00001.jpg")
    box = "<bndbox><xmin>4</xmin><ymin>6</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
    found = "".join(
        f"<object><name>{name}</name>{box}</object>"
        for name in ("golffield", "Expressway-toll-station")
    )
    path = root / "Annotations/Horizontal Bounding Boxes/00001.xml"
    text(path, f"<annotation><filename>00001.jpg</filename>{found}</annotation>")
    text(root / "ImageSets/Main/val.txt", "00001\n")
    key = "JPEGImages-trainval/00001.jpg"
    return Expected(key, "val", key, boxes=(86, 84), corners=(4, 6, 30, 6, 30, 40, 4, 40))


def dota(root: Path) -> Expected:
    image(root / "train/images/P0000.png")
    lines = (
        "imagesource:GoogleEarth",
        "gsd:0.146343590398",
        "10.0 5.0 20.0 10.0 15.0 20.0 5.0 15.0 plane 0",
        "40 10 50 10 50 20 40 20 small-vehicle 1",
    )
    text(root / "train/labelTxt-v1.0/labelTxt/P0000.txt", "\n".join(lines))
    corners = (10, 5, 20, 10, 15, 20, 5, 15)
    key = "train/images/P0000.png"
    return Expected(key, "train", key, boxes=(68, 73), corners=corners, gsd_m=0.146343590398)


def _coco(names: list[str], annotations: list[dict], file_name: str) -> str:
    return json.dumps(
        {
            "images": [{"id": 3, "file_name": file_name, "width": WIDTH, "height": HEIGHT}],
            "categories": [{"id": n, "name": name} for n, name in enumerate(names, start=1)],
            "annotations": annotations,
        }
    )


SQUARE = [8, 10, 28, 10, 28, 30, 8, 30]
"""The outline of PATCH."""
_SQUARE_OF_1 = {"id": 5, "image_id": 3, "category_id": 1, "segmentation": [SQUARE], "iscrowd": 0}


def isaid(root: Path) -> Expected:
    image(root / "train/images/P0002.png")
    runs = {"size": [HEIGHT, WIDTH], "counts": [0, 4, HEIGHT * WIDTH - 4]}
    second = {"id": 6, "image_id": 3, "category_id": 2, "segmentation": runs, "iscrowd": 0}
    names = ["Swimming_pool", "Large_Vehicle"]
    index = _coco(names, [second, _SQUARE_OF_1], "P0002.png")
    text(root / "train/Annotations/iSAID_train.json", index)
    key = "train/images/P0002.png"
    return Expected(key, "train", key, objects=(65, 64))


def isaid_masks(root: Path) -> Expected:
    image(root / "val/images/P0003.png")
    mask = coded((0, 127, 255), (0, 0, 0))
    image(root / "val/images/P0003_instance_color_RGB.png", mask)
    key = "val/images/P0003.png"
    return Expected(key, "val", key, (68, 0))


def _refs(path: Path) -> None:
    said = ["the airplane on the upper left", "an airplane at the edge"]
    sentences = [
        {"sent_id": n, "sent": s, "raw": s, "tokens": s.split()} for n, s in enumerate(said)
    ]
    ref = {"ref_id": 1, "ann_id": 5, "image_id": 3, "category_id": 1, "split": "test"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps([ref | {"sentences": sentences, "sent_ids": (0, 1)}], protocol=2))


_SAID = ("the airplane on the upper left", "an airplane at the edge")


def rrsis_d(root: Path) -> Expected:
    image(root / "images/rrsisd/JPEGImages/00001.jpg")
    text(root / "rrsisd/instances.json", _coco(["airplane"], [_SQUARE_OF_1], "00001.jpg"))
    _refs(root / "rrsisd/refs(unc).p")
    key = "images/rrsisd/JPEGImages/00001.jpg"
    return Expected(key, "test", key, texts=_SAID, more={"category": 68})


def remotesam_270k(root: Path) -> Expected:
    image(root / "JPEGImages/7.jpg")
    text(root / "Annotations/instances.json", _coco(["zeppelin dock"], [_SQUARE_OF_1], "7.jpg"))
    _refs(root / "Annotations/refs(unc).p")
    key = "JPEGImages/7.jpg"
    return Expected(key, "test", key, texts=_SAID, more={"category": 0, "unknown": "zeppelin dock"})


def refsegrs(root: Path) -> Expected:
    for number in (4213, 945):
        image(root / f"images/{number}.tif")
        image(root / f"masks/{number}.tif", coded(255, 0))
    text(root / "output_phrase_train.txt", "4213 van driving on the road\n")
    text(root / "output_phrase_val.txt", "945 impervious surface\n")
    text(root / "output_phrase_test.txt", "")
    key = "images/4213.tif"
    return Expected(key, "train", key, texts=("van driving on the road",), gsd_m=0.13)


def risbench(root: Path) -> Expected:
    image(root / "img_rgb/00001.png")
    image(root / "mask/00001.png", coded(1, 0))
    text(root / "output_phrase_test.txt", "00001 the harbor on the left\n00001 the only harbor\n")
    key = "img_rgb/00001.png"
    return Expected(key, "test", key, texts=("the harbor on the left", "the only harbor"))


def earthreason(root: Path) -> Expected:
    image(root / "train/images/beach_1.jpg")
    image(root / "train/labels/beach_1.png", coded(255, 0))
    content = {"questions": ["Where can one bathe?", "What is sandy?"], "answers": ["The beach."]}
    text(root / "train/QAs/beach_1.json", json.dumps(content))
    key = "train/images/beach_1.jpg"
    said = ("Where can one bathe?", "What is sandy?")
    return Expected(key, "train", key, texts=said, more={"answer": "The beach."})


BUILDERS: Mapping[str, Callable[[Path], Expected]] = {
    "chesapeake": chesapeake,
    "deepglobe": deepglobe,
    "five-billion-pixels": five_billion_pixels,
    "flair": flair,
    "gid-15": gid_15,
    "globe230k": globe230k,
    "loveda": loveda,
    "minifrance": minifrance,
    "potsdam": potsdam,
    "vaihingen": vaihingen,
    "fair1m": fair1m,
    "dior": dior,
    "dota": dota,
    "isaid": isaid,
    "isaid-masks": isaid_masks,
    "rrsis-d": rrsis_d,
    "remotesam-270k": remotesam_270k,
    "refsegrs": refsegrs,
    "risbench": risbench,
    "earthreason": earthreason,
}
"""Builder of each row of the catalogue."""
