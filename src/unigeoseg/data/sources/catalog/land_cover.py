"""Land cover with pixel masks."""

from unigeoseg.data.sources.source import Code, Source, TemplateLayout

_CHESAPEAKE = Source(
    name="chesapeake",
    title="Chesapeake Land Cover",
    reader="masks",
    layout=TemplateLayout(
        images=("{area}_extended-debuffered-{split}_tiles/{tile}_naip-new.tif",),
        labels=("{area}_extended-debuffered-{split}_tiles/{tile}_lc.tif",),
        group="{area}/{tile}",
    ),
    classes={
        0: "no data -> unknown",
        1: "water",
        2: "tree canopy and forest -> Tree",
        3: "low vegetation and field -> Low Vegetation / Field",
        4: "barren land",
        5: "impervious (other) -> Impervious (Other)",
        6: "impervious (road) -> Road",
        15: "no data (aberration) -> unknown",
    },
    licence="labels: no copyright stated; NAIP imagery: public domain (USDA)",
    cite="Robinson et al., CVPR 2019, doi:10.1109/CVPR.2019.01301",
    url="https://lila.science/datasets/chesapeakelandcover",
    gsd_m=1.0,
    notes="Four bands (red, green, blue, near infrared), 8 bits. The older imagery of the same "
    "tiles (naip-old) is not read. The licence was not confirmed on the publisher's page.",
)

_DEEPGLOBE = Source(
    name="deepglobe",
    title="DeepGlobe Land Cover",
    reader="masks",
    layout=TemplateLayout(
        images=("{split}/{number}_sat.jpg",),
        labels=("{split}/{number}_mask.png",),
    ),
    classes={
        (0, 255, 255): "urban land",
        (255, 255, 0): "agriculture land",
        (255, 0, 255): "rangeland",
        (0, 255, 0): "forest land",
        (0, 0, 255): "water",
        (255, 255, 255): "barren land",
        (0, 0, 0): "unknown",
    },
    licence="DeepGlobe challenge terms: research and education, no commercial use",
    cite="Demir et al., CVPR Workshops 2018, arXiv:1805.06561",
    url="http://deepglobe.org",
    gsd_m=0.5,
    threshold=128,
    notes="803 labelled images of 2448 x 2448. Only the training images have masks; those of valid "
    "and test are noted as missing. Mask values are cut at 128, as its publisher asks.",
)

_FBP = Source(
    name="five-billion-pixels",
    title="Five-Billion-Pixels",
    reader="masks",
    layout=TemplateLayout(
        images=("Image_16bit_BGRNir/{scene}.{ext}",),
        labels=("Annotation__index/{scene}_24label.png", "Annotation__color/{scene}_24label.tif"),
        group="{scene}",
    ),
    classes={
        (0, 0, 0, 0): "unlabeled -> unknown",
        (1, 200, 0, 0): "industrial area -> Industrial Land",
        (2, 0, 200, 0): "paddy field",
        (3, 150, 250, 0): "irrigated field -> Irrigated Land",
        (4, 150, 200, 150): "dry cropland",
        (5, 200, 0, 200): "garden land -> Garden Plot",
        (6, 150, 0, 250): "arbor forest -> Arbor Woodland",
        (7, 150, 150, 250): "shrub forest -> Shrub Land",
        (8, 200, 150, 200): "park",
        (9, 250, 200, 0): "natural meadow -> Natural Grassland",
        (10, 200, 200, 0): "artificial meadow -> Artificial Grassland",
        (11, 0, 0, 200): "river",
        (12, 250, 0, 150): "urban residential",
        (13, 0, 150, 200): "lake",
        (14, 0, 200, 250): "pond",
        (15, 150, 200, 250): "fish pond",
        (16, 250, 250, 250): "snow",
        (17, 200, 200, 200): "bareland -> Barren Land",
        (18, 200, 150, 150): "rural residential",
        (19, 250, 200, 150): "stadium",
        (20, 150, 150, 0): "square",
        (21, 250, 150, 150): "road",
        (22, 250, 150, 0): "overpass",
        (23, 250, 200, 250): "railway station",
        (24, 200, 150, 0): "airport",
    },
    licence="research only, as its page states; images: GF-2",
    cite="Tong, Xia and Zhu, ISPRS Journal 196, 2023, doi:10.1016/j.isprsjprs.2022.12.011",
    url="https://x-ytong.github.io/project/Five-Billion-Pixels.html",
    gsd_m=4.0,
    bands=(3, 2, 1),
    notes="150 scenes of 6,800 x 7,200 px, 16 bits, blue, green, red, near infrared. No published "
    "split. The folder of 8-bit images of the same scenes is not read. Licence not confirmed.",
)

_FLAIR = Source(
    name="flair",
    title="FLAIR #1 and #2",
    reader="masks",
    layout=TemplateLayout(
        images=("{set}_aerial_{split}/{domain}/{zone}/img/IMG_{number}.tif",),
        labels=("{set}_labels_{split}/{domain}/{zone}/msk/MSK_{number}.tif",),
        group="{domain}/{zone}",
    ),
    classes={
        1: "building",
        2: "pervious surface",
        3: "impervious surface -> Impervious",
        4: "bare soil -> Barren Land",
        5: "water",
        6: "coniferous",
        7: "deciduous",
        8: "brushwood",
        9: "vineyard",
        10: "herbaceous vegetation -> Grass",
        11: "agricultural land -> Cropland",
        12: "plowed land",
        13: "swimming pool",
        14: "snow",
        15: "clear cut",
        16: "mixed",
        17: "ligneous",
        18: "greenhouse",
        19: "other -> unknown",
    },
    licence="Open Licence 2.0 (Etalab)",
    cite="Garioud et al., NeurIPS 2023, arXiv:2310.13336",
    url="https://ignf.github.io/FLAIR/",
    gsd_m=0.2,
    notes="512 x 512, five 8-bit bands: red, green, blue, near infrared, height. The names of the "
    "published folders start with flair, flair_1 or flair_2. Ids 13 to 19 are rare; the "
    "publisher's baseline joins them as other.",
)

_GID15 = Source(
    name="gid-15",
    title="GID-15",
    reader="masks",
    layout=TemplateLayout(
        images=("image_RGB/{scene}.tif", "img_dir/{split}/{scene}.tif"),
        labels=(
            "label_15classes/{scene}_15label.tif",
            "label_15classes/{scene}_label.tif",
            "ann_dir/{split}/{scene}_15label.png",
        ),
        group="{scene}",
    ),
    classes={
        (0, 0, 0, 0): "background -> unknown",
        (1, 200, 0, 0): "industrial land",
        (2, 250, 0, 150): "urban residential",
        (3, 200, 150, 150): "rural residential",
        (4, 250, 150, 150): "traffic land -> Road",
        (5, 0, 200, 0): "paddy field",
        (6, 150, 250, 0): "irrigated land",
        (7, 150, 200, 150): "dry cropland",
        (8, 200, 0, 200): "garden plot",
        (9, 150, 0, 250): "arbor woodland",
        (10, 150, 150, 250): "shrub land",
        (11, 250, 200, 0): "natural grassland",
        (12, 200, 200, 0): "artificial grassland",
        (13, 0, 0, 200): "river",
        (14, 0, 150, 200): "lake",
        (15, 0, 200, 250): "pond",
    },
    licence="research only, as its page states; images: GF-2",
    cite="Tong et al., Remote Sensing of Environment 237, 2020, doi:10.1016/j.rse.2019.111322",
    url="https://captain-whu.github.io/GID15/",
    gsd_m=4.0,
    notes="Masks as colours, or as ids in the edition for the 2020 contest (img_dir, ann_dir). "
    "Pixels of no class were left unlabelled, so they are unknown here, not background. The "
    "folder names of the edition in colours and the licence were not confirmed. TorchGeo "
    "documents 3 m.",
)

_GLOBE230K = Source(
    name="globe230k",
    title="Globe230k",
    reader="masks",
    layout=TemplateLayout(
        images=("patch_image/{tile}.jpg",),
        labels=("patch_label/{tile}.png", "patch_label/{tile}.tif"),
    ),
    classes={
        0: "no data -> unknown",
        1: "cropland",
        2: "forest -> Forest Land",
        3: "grass",
        4: "shrubland -> Shrub Land",
        5: "wetland -> Wetlands",
        6: "water",
        7: "tundra",
        8: "impervious",
        9: "bareland -> Barren Land",
        10: "ice and snow -> Snow",
    },
    licence="CC BY 4.0",
    cite="Shi et al., Journal of Remote Sensing 3, 2023, doi:10.34133/remotesensing.0078",
    url="https://zenodo.org/records/10435661",
    gsd_m=1.0,
    notes="232,819 tiles of 512 x 512. Folder names, the order of ids 1 to 10 and the licence were "
    "not confirmed; check a few masks before use. Tiles lie apart, each is its own scene.",
)

_LOVEDA = Source(
    name="loveda",
    title="LoveDA",
    reader="masks",
    layout=TemplateLayout(
        images=("{split}/{domain}/images_png/{number}.png",),
        labels=("{split}/{domain}/masks_png/{number}.png",),
    ),
    classes={
        0: "no-data -> unknown",
        1: "background",
        2: "building",
        3: "road",
        4: "water",
        5: "barren -> Barren Land",
        6: "forest -> Forest Land",
        7: "agriculture -> Agriculture Land",
    },
    licence="CC BY-NC-SA 4.0",
    cite="Wang et al., NeurIPS Datasets and Benchmarks 2021, arXiv:2110.08733",
    url="https://github.com/Junjue-Wang/LoveDA",
    gsd_m=0.3,
    notes="5,987 images of 1024 x 1024; those of Test have no masks. Neighbouring images are not "
    "told apart by their names, so each is its own group; keep the published split.",
)

_MINIFRANCE = Source(
    name="minifrance",
    title="MiniFrance",
    reader="masks",
    layout=TemplateLayout(
        images=(
            "{city}/BDORTHO/{tile}.{ext}",
            "labeled_{split}/{city}/BDORTHO/{tile}.{ext}",
        ),
        labels=(
            "labeled_{split}/{city}/UrbanAtlas/{tile}_UA2012.tif",
            "{city}/UrbanAtlas/{tile}_UA2012.tif",
            "{city}/UrbanAtlas/{tile}.tif",
        ),
        group="{city}/{tile}",
    ),
    classes={
        0: "no information -> unknown",
        1: "urban fabric -> Urban Land",
        2: "industrial, commercial, public, military, private and transport units"
        " -> Industrial/Commercial/Public/Military/Private/Transport Units",
        3: "mine, dump and construction sites -> Mine/Dump/Construction Sites",
        4: "artificial non-agricultural vegetated areas"
        " -> Artificial Non-Agricultural Vegetated Areas",
        5: "arable land (annual crops)",
        6: "permanent crops",
        7: "pastures",
        8: "complex and mixed cultivation patterns -> Complex/Mixed Cultivation Patterns",
        9: "orchards at the fringe of urban classes -> Orchards at Urban Fringe",
        10: "forests -> Forest Land",
        11: "herbaceous vegetation associations",
        12: "open spaces with little or no vegetation -> Open Spaces w/ Little Vegetation",
        13: "wetlands",
        14: "water",
        15: "clouds and shadows -> unknown",
    },
    licence="images: Open Licence 2.0 (IGN); labels: Copernicus Urban Atlas 2012, free use",
    cite="Castillo-Navarro et al., Machine Learning 111, 2022, doi:10.1007/s10994-020-05943-y",
    url="https://ieee-dataport.org/open-access/minifrance",
    gsd_m=0.5,
    notes="Images are at 0.5 m, labels at 10 m brought to it: their edges are coarse. The "
    "layout of the data fusion contest 2022 (labeled_train/CITY) is read too. "
    "The published cities of the test split were not confirmed, so images of the plain layout "
    "carry no split. Licence not confirmed.",
)

_ISPRS: dict[Code, str] = {
    (255, 255, 255): "impervious surfaces -> Impervious",
    (0, 0, 255): "building",
    (0, 255, 255): "low vegetation",
    (0, 255, 0): "tree",
    (255, 255, 0): "car",
    (255, 0, 0): "clutter -> nothing",
}
_POTSDAM_TEST = "2_13 2_14 3_13 3_14 4_13 4_14 4_15 5_13 5_14 5_15 6_13 6_14 6_15 7_13".split()
_POTSDAM_TRAIN = (
    "2_10 2_11 2_12 3_10 3_11 3_12 4_10 4_11 4_12 5_10 5_11 5_12 "
    "6_7 6_8 6_9 6_10 6_11 6_12 7_7 7_8 7_9 7_10 7_11 7_12"
).split()
_VAIHINGEN_TRAIN = (1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 26, 28, 30, 32, 34, 37)
_VAIHINGEN_TEST = (2, 4, 6, 8, 10, 12, 14, 16, 20, 22, 24, 27, 29, 31, 33, 35, 38)
_ISPRS_LICENCE = "ISPRS benchmark terms: research, no commercial use, no redistribution"
_ISPRS_URL = "https://www.isprs.org/education/benchmarks/UrbanSemLab/"

_POTSDAM = Source(
    name="potsdam",
    title="ISPRS Potsdam",
    reader="masks",
    layout=TemplateLayout(
        images=("2_Ortho_RGB/top_potsdam_{tile}_RGB.tif",),
        labels=(
            "5_Labels_all/top_potsdam_{tile}_label.tif",
            "5_Labels_for_participants/top_potsdam_{tile}_label.tif",
        ),
        group="{tile}",
        stem_splits={f"top_potsdam_{tile}_RGB": "train" for tile in _POTSDAM_TRAIN}
        | {f"top_potsdam_{tile}_RGB": "test" for tile in _POTSDAM_TEST},
    ),
    classes=_ISPRS,
    licence=_ISPRS_LICENCE,
    cite="ISPRS 2D Semantic Labeling Contest, Commission II/4",
    url=_ISPRS_URL,
    gsd_m=0.05,
    notes="38 tiles of 6000 x 6000. A few published masks hold colours that are none of the six; "
    "those pixels are unknown and noted.",
)

_VAIHINGEN = Source(
    name="vaihingen",
    title="ISPRS Vaihingen",
    reader="masks",
    layout=TemplateLayout(
        images=("top/top_mosaic_09cm_area{area}.tif",),
        labels=(
            "ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE/top_mosaic_09cm_area{area}.tif",
            "gts_for_participants/top_mosaic_09cm_area{area}.tif",
            "top_mosaic_09cm_area{area}.tif",
        ),
        group="area{area}",
        stem_splits={f"top_mosaic_09cm_area{area}": "train" for area in _VAIHINGEN_TRAIN}
        | {f"top_mosaic_09cm_area{area}": "test" for area in _VAIHINGEN_TEST},
    ),
    classes=_ISPRS,
    licence=_ISPRS_LICENCE,
    cite="ISPRS 2D Semantic Labeling Contest, Commission II/4",
    url=_ISPRS_URL,
    gsd_m=0.09,
    notes="33 patches. The bands are near infrared, red and green: images are false-colour. The "
    "folder of the complete masks was not confirmed; three places are tried.",
)

LAND_COVER = (
    _CHESAPEAKE,
    _DEEPGLOBE,
    _FBP,
    _FLAIR,
    _GID15,
    _GLOBE230K,
    _LOVEDA,
    _MINIFRANCE,
    _POTSDAM,
    _VAIHINGEN,
)
