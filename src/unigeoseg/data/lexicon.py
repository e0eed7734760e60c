"""What is known of each category: its names, and questions that mean it without naming it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One category's words.

    Attributes:
        singular: Ways to name one.
        plural: Ways to name all; for stuff (water, road) the same as one.
        questions: Reasoning questions by function or property that do not say the name.
        thing: Whether single objects can be counted.
    """

    singular: tuple[str, ...]
    plural: tuple[str, ...]
    questions: tuple[str, ...]
    thing: bool = True


LEXICON: dict[str, Entry] = {
    "airplane": Entry(
        ("airplane", "aircraft", "plane", "aeroplane"),
        ("airplanes", "aircraft", "planes", "parked aircraft"),
        (
            "What could carry passengers through the air?",
            "Which objects have wings and fly?",
            "What would take off from a runway?",
            "Which vehicles need a pilot and an airport?",
            "Where would travellers sit during a flight?",
            "the objects that would wait at a gate before boarding",
        ),
    ),
    "ship": Entry(
        ("ship", "boat", "vessel"),
        ("ships", "boats", "vessels"),
        (
            "What floats and carries goods or people over water?",
            "Which objects would be steered by a captain?",
            "What could sail away from here?",
            "Which vehicles travel on the sea?",
            "What would be moored at a quay?",
        ),
    ),
    "storage tank": Entry(
        ("storage tank", "oil tank", "tank", "fuel tank"),
        ("storage tanks", "oil tanks", "tanks", "round storage tanks"),
        (
            "Where would oil or other liquids be kept?",
            "Which round structures hold fuel?",
            "What is used to store petroleum products?",
            "Which objects could leak a large volume of liquid?",
            "Where is liquid cargo kept before it is shipped?",
        ),
    ),
    "baseball diamond": Entry(
        ("baseball diamond", "baseball field", "baseball pitch"),
        ("baseball diamonds", "baseball fields"),
        (
            "Where would a pitcher throw to a batter?",
            "Where could people play a game with bases and a bat?",
            "Which sports ground is shaped like a fan with an infield?",
            "Where would a home run be hit?",
        ),
    ),
    "tennis court": Entry(
        ("tennis court",),
        ("tennis courts",),
        (
            "Where would people play with rackets over a net?",
            "Which sports surface is used for singles and doubles matches with rackets?",
            "Where would a serve and a volley be played?",
            "Where could two players hit a small felt ball across a net?",
        ),
    ),
    "basketball court": Entry(
        ("basketball court",),
        ("basketball courts",),
        (
            "Where would players shoot at a hoop?",
            "Which sports ground has a hoop at each end?",
            "Where would a team dribble and dunk?",
            "Where could five players a side throw a ball into a basket?",
        ),
    ),
    "ground track field": Entry(
        ("ground track field", "running track", "athletics track", "track field"),
        ("ground track fields", "running tracks", "athletics tracks"),
        (
            "Where would athletes run laps?",
            "Which place is suited to a 400 metre race?",
            "Where could a school hold its sports day of running and jumping?",
            "Which oval ground is made for athletics?",
        ),
    ),
    "harbor": Entry(
        ("harbor", "harbour", "pier", "dock"),
        ("harbors", "piers", "docks", "quays"),
        (
            "Where would boats be moored?",
            "Where could cargo be unloaded from vessels?",
            "Which structures reach into the water so that people can board vessels?",
            "Where would sailors step ashore?",
        ),
    ),
    "bridge": Entry(
        ("bridge",),
        ("bridges",),
        (
            "What lets traffic cross the water?",
            "Which structure spans a river?",
            "Where can people get from one bank to the other without a boat?",
            "What would be closed first if the river below rose dangerously?",
        ),
    ),
    "vehicle": Entry(
        ("vehicle", "car", "automobile"),
        ("vehicles", "cars", "automobiles"),
        (
            "What could be driven along the streets?",
            "Which movable objects have four wheels and an engine?",
            "What would be found in a parking space?",
            "Which objects would stop at a red light?",
        ),
    ),
    "building": Entry(
        ("building", "house", "structure", "roof"),
        ("buildings", "houses", "rooftops", "built structures"),
        (
            "Where do people live or work indoors?",
            "Which structures give shelter from the weather?",
            "What keeps the rain off the people inside?",
            "What would be counted to estimate how many families live here?",
            "Which objects have walls, doors and windows?",
            "the places where people would sleep at night",
        ),
    ),
    "road": Entry(
        ("road", "street"),
        ("road", "roads", "streets", "paved roads"),
        (
            "Where would cars drive?",
            "Which surfaces connect the houses for traffic?",
            "What would an ambulance use to get here?",
            "Which paved strips are made for vehicles?",
            "the network that people use to travel by car",
        ),
        thing=False,
    ),
    "bare land": Entry(
        ("bare land", "unpaved land", "open ground"),
        ("bare land", "unpaved land", "bare soil", "open unpaved ground"),
        (
            "Which area is neither built nor planted nor paved?",
            "Where could new construction begin without clearing anything?",
            "Which ground is exposed to wind erosion?",
            "Where is the soil uncovered?",
        ),
        thing=False,
    ),
    "vegetation": Entry(
        ("vegetation", "greenery", "green area"),
        ("vegetation", "greenery", "green areas", "trees and grass"),
        (
            "What gives shade and takes up carbon dioxide?",
            "Which parts need water and sunlight to grow?",
            "Where would birds nest?",
            "Which areas would look bright in near infrared because of chlorophyll?",
        ),
        thing=False,
    ),
    "water": Entry(
        ("water", "water body", "lake or river"),
        ("water", "water bodies", "open water", "water surface"),
        (
            "Where could one swim or fish?",
            "Which area would be blue on a map?",
            "Where would a boat float?",
            "What could supply irrigation in a dry season?",
            "Which surface would freeze in a hard winter?",
        ),
        thing=False,
    ),
    "agricultural field": Entry(
        ("agricultural field", "crop field", "farm field", "field"),
        ("agricultural fields", "crop fields", "farmland", "cultivated fields"),
        (
            "Where are crops grown?",
            "Which areas would a farmer plough?",
            "Where is food produced from the soil?",
            "Which parcels are sown and harvested?",
            "the land that would be irrigated and fertilised",
        ),
    ),
    "solar panel": Entry(
        ("solar panel", "photovoltaic array", "solar farm", "solar array"),
        ("solar panels", "photovoltaic arrays", "solar farms", "photovoltaic panels"),
        (
            "What turns sunlight into electricity?",
            "Which installations produce power only by day?",
            "Where is renewable energy generated from light?",
            "Which dark shiny rows feed current to the grid?",
        ),
    ),
    "landslide": Entry(
        ("landslide", "landslide scar"),
        ("landslides", "landslide scars", "landslide area"),
        (
            "Where has the slope collapsed?",
            "Which area would a geologist mark as a slope failure?",
            "Where did soil and rock slide downhill?",
            "Which scar was left by moving earth after heavy rain?",
        ),
    ),
    "oil spill": Entry(
        ("oil spill", "oil slick"),
        ("oil spill", "oil slicks"),
        (
            "Where has a film of pollution darkened the sea?",
            "Which part of the sea would a clean-up crew be sent to?",
            "What could have leaked from a tanker?",
        ),
        thing=False,
    ),
}
