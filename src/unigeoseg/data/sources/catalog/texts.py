"""Sources with instructions of their own."""

from unigeoseg.data.sources.source import IndexLayout, Source, TemplateLayout

_SPLITS = ("train", "val", "test")

_RRSIS_D = Source(
    name="rrsis-d",
    title="RRSIS-D",
    reader="refer",
    layout=(
        IndexLayout(
            files=("rrsisd/instances.json", "instances.json"),
            images="images/rrsisd/JPEGImages",
            refs=("rrsisd/refs(unc).p", "refs(unc).p"),
        ),
    ),
    classes={},
    licence="not stated by its publisher; images of DIOR",
    cite="Liu et al., CVPR 2024, arXiv:2312.12470",
    url="https://github.com/Lsan2401/RMSIN",
    resolution="0.5-30 m",
    notes="17,402 expressions on images of 800 x 800, 20 classes, which are matched by name. The "
    "pickle is read as plain values; anything else in it is refused.",
)

_REFSEGRS = Source(
    name="refsegrs",
    title="RefSegRS",
    reader="phrases",
    layout=tuple(
        IndexLayout(
            files=(f"output_phrase_{split}.txt",), images="images", split=split, masks="masks"
        )
        for split in _SPLITS
    ),
    classes={},
    licence="CC BY 4.0",
    cite="Yuan et al., IEEE TGRS 62, 2024, arXiv:2306.08625",
    url="https://huggingface.co/datasets/JessicaYuan/RefSegRS",
    gsd_m=0.13,
    notes="4,420 triplets of 512 x 512, cut from SkyScapes. A line is a number and a phrase; image "
    "and mask have that number. The scenes that tiles were cut from are not published, so each "
    "image is its own group; keep the published split. The card of a copy states the licence.",
)

_RISBENCH = Source(
    name="risbench",
    title="RISBench",
    reader="phrases",
    layout=tuple(
        IndexLayout(
            files=(f"output_phrase_{split}.txt",), images="img_rgb", split=split, masks="mask"
        )
        for split in _SPLITS
    ),
    classes={},
    licence="not stated by its publisher; images of DOTA v2.0 and DIOR",
    cite="Dong et al., 2024, arXiv:2410.08613",
    url="https://github.com/HIT-SIRS/CroBIM",
    resolution="0.1-30 m",
    notes="52,472 triplets of 512 x 512. Images and masks may have any suffix: the published one "
    "was not confirmed. Licence not confirmed.",
)

_REMOTESAM = Source(
    name="remotesam-270k",
    title="RemoteSAM-270K",
    reader="refer",
    layout=(
        IndexLayout(
            files=("Annotations/instances.json", "instances.json"),
            images="JPEGImages",
            refs=("Annotations/refs(unc).p", "refs(unc).p"),
        ),
    ),
    classes={},
    licence="CC BY-NC 4.0",
    cite="Yao et al., ACM Multimedia 2025, arXiv:2505.18022",
    url="https://huggingface.co/datasets/1e12Leon/RemoteSAM_270K",
    resolution="varies",
    notes="Its files lie in RemoteSAM-270K, the folder to give. The place of the two index files "
    "was not confirmed, both are tried. Classes are matched by name; those that the taxonomy does "
    "not know are noted, and their expressions are kept with category 0.",
)

_EARTHREASON = Source(
    name="earthreason",
    title="EarthReason",
    reader="questions",
    layout=TemplateLayout(
        images=("{split}/images/{number}.{ext}",),
        labels=("{split}/QAs/{number}.json", "{split}/QAs/{number}.txt"),
        masks="{split}/labels/{number}.png",
    ),
    classes={},
    licence="not stated by its publisher; images of Million-AID",
    cite="Li et al., 2025, arXiv:2504.09644",
    url="https://huggingface.co/datasets/earth-insights/EarthReason",
    resolution="0.5-153 m",
    notes="5,434 masks, more than 30,000 questions, splits 2,371 / 1,135 / 1,928. An empty mask "
    "means that nothing answers the question. That image, mask and questions share a name was "
    "taken from how the reference code pairs them in order. Licence not confirmed.",
)

TEXTS = (_RRSIS_D, _REFSEGRS, _RISBENCH, _REMOTESAM, _EARTHREASON)
