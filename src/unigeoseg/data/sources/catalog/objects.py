"""Objects with boxes or masks of their own."""

from unigeoseg.data.sources.source import Code, IndexLayout, Source, TemplateLayout

_DIOR = Source(
    name="dior",
    title="DIOR",
    reader="voc",
    layout=TemplateLayout(
        images=("JPEGImages-{part}/{number}.jpg",),
        labels=(
            "Annotations/Horizontal Bounding Boxes/{number}.xml",
            "Annotations/{number}.xml",
            "Annotations/Oriented Bounding Boxes/{number}.xml",
        ),
        lists={split: f"ImageSets/Main/{split}.txt" for split in ("train", "val", "test")},
    ),
    classes={
        "airplane": "airplane",
        "airport": "airport",
        "baseballfield": "baseball field",
        "basketballcourt": "basketball court",
        "bridge": "bridge",
        "chimney": "chimney",
        "dam": "dam",
        "Expressway-Service-area": "expressway service area",
        "Expressway-toll-station": "expressway toll station",
        "golffield": "golf field",
        "groundtrackfield": "ground track field",
        "harbor": "harbor",
        "overpass": "overpass",
        "ship": "ship",
        "stadium": "stadium",
        "storagetank": "storage tank",
        "tenniscourt": "tennis court",
        "trainstation": "train station",
        "vehicle": "vehicle",
        "windmill": "windmill",
    },
    licence="research only; Google Earth imagery",
    cite="Li et al., ISPRS Journal 159, 2020, doi:10.1016/j.isprsjprs.2019.11.023",
    url="https://gcheng-nwpu.github.io/",
    resolution="0.5-30 m",
    notes="23,463 images of 800 x 800, 192,472 boxes. Coordinates are taken as pixels from 0. The "
    "licence was not confirmed.",
)

_DOTA_CLASSES = (
    "plane ship storage-tank baseball-diamond tennis-court basketball-court ground-track-field "
    "harbor bridge large-vehicle small-vehicle helicopter roundabout soccer-ball-field "
    "swimming-pool container-crane airport helipad"
).split()

_DOTA = Source(
    name="dota",
    title="DOTA",
    reader="dota",
    layout=TemplateLayout(
        images=("{split}/images/{number}.png",),
        labels=(
            "{split}/labelTxt-v1.0/labelTxt/{number}.txt",
            "{split}/labelTxt-v1.5/DOTA-v1.5_{split}/{number}.txt",
            "{split}/labelTxt/{number}.txt",
        ),
    ),
    classes={name: name for name in _DOTA_CLASSES},
    licence="academic use only, no commercial use",
    cite="Xia et al., CVPR 2018, arXiv:1711.10398",
    url="https://captain-whu.github.io/DOTA/dataset.html",
    resolution="0.1-4.5 m, in the header of each label file",
    notes="2,806 images and 188,282 rotated boxes in v1.0 with 15 classes; v1.5 adds container "
    "crane, v2.0 airport and helipad. Images of one scene are not told apart by their names, so "
    "each is its own group; keep the published split.",
)

_FAIR1M_CLASSES: dict[Code, str] = {
    "Passenger Ship": "passenger ship",
    "Motorboat": "motorboat",
    "Fishing Boat": "fishing boat",
    "Tugboat": "tugboat",
    "other-ship": "other-ship",
    "Engineering Ship": "engineering ship",
    "Liquid Cargo Ship": "liquid cargo ship",
    "Dry Cargo Ship": "dry cargo ship",
    "Warship": "warship",
    "Small Car": "small car -> Car",
    "Bus": "bus",
    "Cargo Truck": "cargo truck",
    "Dump Truck": "dump truck",
    "other-vehicle": "other-vehicle",
    "Van": "van",
    "Trailer": "trailer",
    "Tractor": "tractor",
    "Excavator": "excavator",
    "Truck Tractor": "truck tractor",
    "Boeing737": "Boeing737",
    "Boeing747": "Boeing747",
    "Boeing777": "Boeing777",
    "Boeing787": "Boeing787",
    "ARJ21": "ARJ21",
    "C919": "C919",
    "A220": "A220",
    "A321": "A321",
    "A330": "A330",
    "A350": "A350",
    "other-airplane": "other-airplane",
    "Baseball Field": "baseball field",
    "Basketball Court": "basketball court",
    "Football Field": "football field -> Soccer-Ball-Field",
    "Tennis Court": "tennis court",
    "Roundabout": "roundabout",
    "Intersection": "intersection",
    "Bridge": "bridge",
}

_FAIR1M = Source(
    name="fair1m",
    title="FAIR1M",
    reader="fair1m",
    layout=TemplateLayout(
        images=("{split}/{part}/images/{number}.tif", "{split}/images/{number}.tif"),
        labels=(
            "{split}/{part}/labelXml/{number}.xml",
            "{split}/{part}/labelXmls/{number}.xml",
            "{split}/labelXml/{number}.xml",
            "{split}/labelXmls/{number}.xml",
        ),
    ),
    classes=_FAIR1M_CLASSES,
    licence="CC BY-NC-SA 3.0",
    cite="Sun et al., ISPRS Journal 184, 2022, doi:10.1016/j.isprsjprs.2021.12.004",
    url="https://www.gaofen-challenge.com/benchmark",
    resolution="0.3-0.8 m",
    notes="Rotated boxes of 37 classes; the published test images have no labels. The licence was "
    "not confirmed.",
)

_ISAID_NAMES = (
    "storage_tank Large_Vehicle Small_Vehicle plane ship Swimming_pool Harbor tennis_court "
    "Ground_Track_Field Soccer_ball_field baseball_diamond Bridge basketball_court Roundabout "
    "Helicopter"
).split()

_ISAID = Source(
    name="isaid",
    title="iSAID",
    reader="coco",
    layout=tuple(
        IndexLayout(
            files=(
                f"{split}/Annotations/iSAID_{split}.json",
                f"{split}/annotations/iSAID_{split}.json",
            ),
            images=f"{split}/images",
            split=split,
        )
        for split in ("train", "val")
    ),
    classes={name: name for name in _ISAID_NAMES},
    licence="academic use only, no commercial use",
    cite="Zamir et al., CVPR Workshops 2019, arXiv:1905.12886; images: DOTA",
    url="https://captain-whu.github.io/iSAID/",
    resolution="0.1-4.5 m",
    notes="Objects come from the COCO files. The images are those of DOTA v1.0 and are got there. "
    "The ids in the COCO files differ between editions, so names count.",
)

_ISAID_MASKS = Source(
    name="isaid-masks",
    title="iSAID, colour masks",
    reader="masks",
    layout=TemplateLayout(
        images=("{split}/images/{number}.png",),
        labels=(
            "{split}/Semantic_masks/images/{number}_instance_color_RGB.png",
            "{split}/images/{number}_instance_color_RGB.png",
        ),
        skip="_instance_",
    ),
    classes={
        (0, 0, 0): "background",
        (0, 0, 63): "ship",
        (0, 63, 63): "storage_tank",
        (0, 63, 0): "baseball_diamond",
        (0, 63, 127): "tennis_court",
        (0, 63, 191): "basketball_court",
        (0, 63, 255): "Ground_Track_Field",
        (0, 127, 63): "Bridge",
        (0, 127, 127): "Large_Vehicle",
        (0, 0, 127): "Small_Vehicle",
        (0, 0, 191): "Helicopter",
        (0, 0, 255): "Swimming_pool",
        (0, 191, 127): "Roundabout",
        (0, 127, 191): "Soccer_ball_field",
        (0, 127, 255): "plane",
        (0, 100, 155): "Harbor",
    },
    licence=_ISAID.licence,
    cite=_ISAID.cite,
    url=_ISAID.url,
    resolution=_ISAID.resolution,
    notes="The same labels as classes of pixels, for those who have the PNG files alone. Objects "
    "that touch are one region then. The colours were not confirmed on the publisher's page.",
)

OBJECTS = (_DIOR, _DOTA, _FAIR1M, _ISAID, _ISAID_MASKS)
