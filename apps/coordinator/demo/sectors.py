"""The sectors of the demo news: what a company in each makes, sells, runs and whom it serves."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sector:
    """`suffixes` follow a company's name; `goods` are plural; `product` is singular; `site` is where work is done."""

    name: str
    suffixes: tuple[str, ...]
    goods: tuple[str, ...]
    product: tuple[str, ...]
    site: tuple[str, ...]
    client: tuple[str, ...]


SECTORS = (
    Sector(
        'chips',
        ('Chips', 'Semi'),
        ('chips', 'sensors', 'memory chips'),
        ('chip', 'sensor', 'processor'),
        ('plant', 'lab'),
        ('phone makers', 'carmakers'),
    ),
    Sector(
        'banking',
        ('Bank', 'Capital'),
        ('loans', 'savings accounts', 'cards'),
        ('savings account', 'card', 'mortgage'),
        ('branch', 'office'),
        ('savers', 'small firms'),
    ),
    Sector(
        'energy',
        ('Energy', 'Power'),
        ('turbines', 'solar panels', 'batteries'),
        ('turbine', 'solar panel', 'battery'),
        ('power plant', 'wind farm'),
        ('cities', 'utilities'),
    ),
    Sector(
        'drugs',
        ('Pharma', 'Health'),
        ('vaccines', 'drugs', 'tablets'),
        ('vaccine', 'heart drug', 'test kit'),
        ('lab', 'plant'),
        ('hospitals', 'clinics'),
    ),
    Sector(
        'cars',
        ('Motors', 'Auto'),
        ('cars', 'vans', 'electric buses'),
        ('electric car', 'van', 'truck'),
        ('factory', 'plant'),
        ('drivers', 'taxi firms'),
    ),
    Sector(
        'airlines',
        ('Air', 'Airways'),
        ('flights', 'cargo flights', 'seats'),
        ('route', 'night flight', 'cargo service'),
        ('hub', 'hangar'),
        ('travellers', 'tour firms'),
    ),
    Sector(
        'retail',
        ('Stores', 'Retail'),
        ('shoes', 'coats', 'toys'),
        ('toy range', 'shoe line', 'web shop'),
        ('store', 'warehouse'),
        ('shoppers', 'schools'),
    ),
    Sector(
        'mining',
        ('Mining', 'Metals'),
        ('copper', 'iron ore', 'lithium'),
        ('drill', 'ore line', 'furnace'),
        ('mine', 'smelter'),
        ('steel makers', 'builders'),
    ),
    Sector(
        'food',
        ('Foods', 'Farms'),
        ('snacks', 'dairy goods', 'juices'),
        ('snack', 'yogurt', 'juice'),
        ('bakery', 'plant'),
        ('grocers', 'schools'),
    ),
    Sector(
        'telecoms',
        ('Telecom', 'Mobile'),
        ('phones', 'network gear', 'masts'),
        ('phone', 'data plan', 'network'),
        ('data centre', 'call centre'),
        ('callers', 'cities'),
    ),
    Sector(
        'software',
        ('Soft', 'Systems'),
        ('software', 'games', 'cloud services'),
        ('app', 'game', 'cloud service'),
        ('data centre', 'office'),
        ('banks', 'hospitals'),
    ),
    Sector(
        'shipping',
        ('Lines', 'Freight'),
        ('ships', 'containers', 'ferries'),
        ('ferry', 'cargo ship', 'freight service'),
        ('port', 'dock'),
        ('grain traders', 'grocers'),
    ),
)
