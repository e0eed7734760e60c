"""Every exception that UniGeoSeg raises for its users.

::

    UniGeoSegError
    |- PromptError                 what was asked cannot be used
    |  |- EmptyInstructionError    a text task without text
    |  |- PromptOutsideRasterError points or a box beyond the pixels
    |  |- AreaError                an area that is no polygon, or cannot be placed
    |  |  `- AreaOutsideError      an area off the scene
    |  |- UnknownCrsError          a CRS that PROJ does not know
    |  `- NoGeoreferenceError      map coordinates on a raster without CRS
    |- RasterError                 the scene cannot be used
    |  |- RasterNotFoundError      no such file
    |  |- RasterUnreadableError    a file that is not a (whole) raster
    |  |- EmptyRasterError         no pixel, or nothing but nodata
    |  |- GridMismatchError        pixels and grid disagree
    |  `- BandsError               the bands asked for are not there
    |- OutputError                 the result cannot be written
    |  |- OutputExistsError        the file is there and may not be replaced
    |  |- OutputUnwritableError    no such directory, no permission, no space
    |  `- OutputFormatError        a suffix that no writer knows
    |- CheckpointError             the weights cannot be used
    |  |- CheckpointNotFoundError  no such file or directory
    |  `- CheckpointDamagedError   missing, unknown or misshapen weights
    |- HubError                    a repository of the hub cannot be used
    |  |- HubUnreachableError      no network, or the transfer broke off
    |  |- HubNotFoundError         no such repository, revision or file
    |  |- HubAccessError           the hub does not let this user in
    |  `- HubDamagedError          what came is not what the hub states
    |- DataError                   a training sample or shard breaks its rules
    |  |- ProgramError             a text that is no program over a scene graph
    |  `- AmbiguousError           a program that selects nothing clearly
    |- OnlineError                 a model behind a server cannot go on; start again later
    |  |- OnlineUnavailableError   no usable reply after every try
    |  |- OnlineRequestError       the server turned a request down: key, model, parameters
    |  `- CostCapError             the next request could pass the cost cap
    |- OptionError                 a setting out of its range
    `- MissingExtraError           an optional dependency is not installed

A message is one line that says what came, what was expected and what to do.
"""


class UniGeoSegError(Exception):
    """Base of all errors meant for the users of UniGeoSeg."""


class PromptError(UniGeoSegError):
    """What was asked cannot be used."""


class EmptyInstructionError(PromptError):
    """A referring or reasoning prompt came without text."""


class PromptOutsideRasterError(PromptError):
    """A point or a box lies outside the raster."""


class AreaError(PromptError):
    """The area in which results are wanted cannot be used."""


class AreaOutsideError(AreaError):
    """The area has no part on the scene."""


class UnknownCrsError(PromptError):
    """A text does not name a coordinate reference system."""


class NoGeoreferenceError(PromptError):
    """Map coordinates were given for a raster without a CRS."""


class RasterError(UniGeoSegError):
    """The scene cannot be used."""


class RasterNotFoundError(RasterError):
    """The scene does not exist."""


class RasterUnreadableError(RasterError):
    """The file exists but is not a raster, or is damaged."""


class EmptyRasterError(RasterError):
    """The scene has no pixel, or none that is valid."""


class GridMismatchError(RasterError):
    """Pixels, validity and grid do not have the same size."""


class BandsError(RasterError):
    """The bands asked for are not in the raster."""


class OutputError(UniGeoSegError):
    """The result cannot be written."""


class OutputExistsError(OutputError):
    """The output exists and may not be replaced."""


class OutputUnwritableError(OutputError):
    """The output's directory is missing or not writable, or writing failed."""


class OutputFormatError(OutputError):
    """The output's suffix belongs to no known format."""


class CheckpointError(UniGeoSegError):
    """The weights cannot be used."""


class CheckpointNotFoundError(CheckpointError):
    """The checkpoint does not exist."""


class CheckpointDamagedError(CheckpointError):
    """The checkpoint has missing, unknown or misshapen weights."""


class HubError(UniGeoSegError):
    """A repository of the hub cannot be used."""


class HubUnreachableError(HubError):
    """The hub cannot be reached, or the transfer broke off."""


class HubNotFoundError(HubError):
    """The hub has no such repository, revision or file."""


class HubAccessError(HubError):
    """The hub does not let this user in."""


class HubDamagedError(HubError):
    """What came is not what the hub states, or the hub states what cannot be."""


class DataError(UniGeoSegError):
    """A training sample or shard breaks its rules."""


class OnlineError(UniGeoSegError):
    """A model behind a server cannot go on; what it answered so far is kept."""


class OnlineUnavailableError(OnlineError):
    """The server gave no usable reply after every try."""


class OnlineRequestError(OnlineError):
    """The server turned a request down: its key, its model or its parameters."""


class CostCapError(OnlineError):
    """The next request could pass the cost cap, so it was not sent."""


class ProgramError(DataError):
    """A text is no program over a scene graph."""


class AmbiguousError(DataError):
    """A program does not clearly select one set of regions of a patch.

    Args:
        rule: Why: "none", "several", "margin", "category" or "unknown" (docs/programs.md).
        message: The same in a line.
        counted: Regions that were found, and how many were needed or allowed, where that decided.
    """

    def __init__(
        self, rule: str, message: str, counted: tuple[int | None, int | None] = (None, None)
    ) -> None:
        super().__init__(message)
        self.rule = rule
        self.counted = counted

    def __reduce__(self) -> tuple[type["AmbiguousError"], tuple[object, ...]]:
        """Pickle by the arguments, so that worker processes can pass it on."""
        return type(self), (self.rule, str(self), self.counted)


class OptionError(UniGeoSegError):
    """A setting is out of its range."""


class MissingExtraError(UniGeoSegError):
    """An optional dependency is not installed.

    Args:
        feature: What was asked for, as the start of a sentence ("the base model").
        extra: The extra of the package that brings it ("base").
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed; "
            f"install them with: pip install 'unigeoseg[{extra}]'"
        )
        self.feature = feature
        self.extra = extra

    def __reduce__(self) -> tuple[type["MissingExtraError"], tuple[str, str]]:
        """Pickle by the two arguments, so that worker processes can pass it on."""
        return type(self), (self.feature, self.extra)
