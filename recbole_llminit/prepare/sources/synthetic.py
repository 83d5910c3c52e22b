"""Generate a synthetic shop, in which the items' texts tell which items a user likes.

Titles are made of a brand, two attributes and a type. Each user likes two types, four attributes and a brand.
For every purchase the user considers five products of one type, mostly a liked type and with a preference for
popular products, and takes the one that matches the taste best; products that match better get better
ratings. So a model that uses the texts can predict purchases. No real user or item is in the data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recbole_llminit.prepare.engine import Engine
from recbole_llminit.prepare.sources.base import TEXT, Inputs, Raw
from recbole_llminit.utils.errors import UserError

_TYPES = {
    "Makeup": ("Lipstick", "Mascara", "Eyeliner", "Foundation", "Blush", "Nail Polish"),
    "Skin Care": ("Face Cream", "Cleanser", "Serum", "Sunscreen", "Face Mask", "Lip Balm"),
    "Hair Care": ("Shampoo", "Conditioner", "Hair Oil", "Styling Gel", "Hair Brush", "Hair Dye"),
    "Bath": ("Shower Gel", "Bath Salts", "Hand Soap", "Body Lotion", "Body Scrub", "Loofah"),
}
_ATTRIBUTES = (
    *("Matte", "Glossy", "Shimmering", "Waterproof", "Hydrating", "Oil-Free", "Organic", "Vegan"),
    *("Lavender", "Rose", "Coconut", "Citrus", "Mint", "Charcoal", "Vanilla", "Green Tea"),
    *("Gentle", "Volumizing", "Anti-Aging", "Travel Size"),
)
_BRANDS = (
    *("Aurelle", "Brisa Bay", "Calendra", "Dewfield", "Elmira Rose", "Fjordglow", "Gildenleaf", "Halcyra"),
    *("Ivoria", "Junipéro", "Kestrel & Moss", "Lumenaire", "Mirabelle Lane", "Nordveil", "Opaline"),
    *("Petalworks", "Quillara", "Rosmarin", "Solvane", "Tidewick"),
)
_LOOKS = 5  # products that a user considers for a purchase
_LOYAL = 0.85  # share of purchases for which a liked type is drawn
_START, _END = 1_325_376_000, 1_404_172_800  # 2012-01-01 to 2014-07-01, UTC
_CHUNK = 1_000_000  # purchases drawn at a time

Indices = npt.NDArray[np.int64]


def read(engine: Engine, inputs: Inputs) -> Raw:
    """Generate the dataset whose size the recipe gives.

    Raises:
        UserError: If the recipe gives no size, or one that is too small.
    """
    try:
        interactions, items = generate(**inputs.recipe.generate, seed=inputs.recipe.seed)
    except TypeError:
        raise UserError(
            "a synthetic world needs its size: --generate users=300,items=250,interactions=5000, or "
            "`generate: {users: 300, items: 250, interactions: 5000}` in its recipe"
        ) from None
    tables = []
    for name, frame in (("interactions", interactions), ("items", items)):
        file = engine.work / f"synthetic-{name}.parquet"
        frame.to_parquet(file, index=False)
        tables.append(engine.parquet(file))
    return Raw(tables[0], tables[1], dict.fromkeys(("title", "brand", "categories", "description"), TEXT))


def generate(
    users: int, items: int, interactions: int, seed: int = 2020
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Generate interactions and items; the same arguments give the same tables.

    Args:
        users: Number of users.
        items: Number of items, at least the number of types (24).
        interactions: Number of purchases; a user may buy an item more than once.
        seed: Seed of all random draws.

    Returns:
        Interactions (``user_id``, ``item_id``, ``rating``, ``timestamp`` in seconds) and items
        (``item_id``, ``title``, ``brand``, ``categories``, ``description``).

    Raises:
        UserError: If one of the numbers is too small.
    """
    types = [(kind, name) for kind, names in _TYPES.items() for name in names]
    if items < len(types) or users < 1 or interactions < 1:
        raise UserError(f"a synthetic world needs users, interactions and at least {len(types)} items")
    rng = np.random.default_rng(seed)
    shop = _Shop(items, len(types), rng)
    bought = [
        _purchases(shop, users, min(_CHUNK, interactions - start), rng)
        for start in range(0, interactions, _CHUNK)
    ]
    return pd.concat(bought, ignore_index=True), _catalogue(shop, types)


class _Shop:
    """The items' words as indices: type (items,), two attributes (items, 2) and brand (items,), int64."""

    def __init__(self, items: int, types: int, rng: np.random.Generator) -> None:
        self.type: Indices = np.arange(items) % types  # items i, i + types, ... are of one type
        self.types = types
        first = rng.integers(len(_ATTRIBUTES), size=items)
        other = (first + rng.integers(1, len(_ATTRIBUTES), size=items)) % len(_ATTRIBUTES)
        self.attributes: Indices = np.stack([first, other], axis=1)
        self.brand: Indices = rng.integers(len(_BRANDS), size=items)


def _purchases(shop: _Shop, users: int, n: int, rng: np.random.Generator) -> pd.DataFrame:
    # A user's taste is a hash of the user's number, so that all chunks agree without a table of tastes.
    user = np.minimum((users * rng.random(n) ** 1.3).astype(np.int64), users - 1)  # some buy more than others
    liked = _mix(user)[:, None]
    kind = np.where(
        rng.random(n) < _LOYAL,
        _mix(user * 3 + rng.integers(2, size=n)) % shop.types,
        rng.integers(shop.types, size=n),
    )
    in_type = (len(shop.type) - kind - 1) // shop.types + 1
    popular = rng.random((n, _LOOKS)) ** 2  # the first items of a type are considered most often
    seen = kind[:, None] + shop.types * (popular * in_type[:, None]).astype(np.int64)
    match = np.zeros((n, _LOOKS), dtype=np.int64)
    for shift in range(4):  # each user likes four attributes
        wanted = (liked + 5 * shift) % len(_ATTRIBUTES)
        match += (shop.attributes[seen] == wanted[..., None]).any(axis=2)
    match += shop.brand[seen] == (liked // 7) % len(_BRANDS)
    rows, best = np.arange(n), match.argmax(axis=1)
    rating = np.clip(3 + match[rows, best] + rng.integers(-1, 2, size=n), 1, 5)
    return pd.DataFrame(
        {
            "user_id": np.char.add("U", user.astype(str)),
            "item_id": np.char.add("P", seen[rows, best].astype(str)),
            "rating": rating.astype(np.float64),
            "timestamp": rng.integers(_START, _END, size=n).astype(np.float64),
        }
    )


def _mix(number: Indices) -> Indices:
    """Hash numbers by the finaliser of SplitMix64; return non-negative int64, evenly distributed."""
    x = number.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def _catalogue(shop: _Shop, types: list[tuple[str, str]]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for i, (kind, (one, two), brand) in enumerate(zip(shop.type, shop.attributes, shop.brand, strict=True)):
        group, name = types[kind]
        first, second = _ATTRIBUTES[one], _ATTRIBUTES[two]
        rows.append(
            {
                "item_id": f"P{i}",
                "title": f"{_BRANDS[brand]} {first} {second} {name} No. {i // shop.types + 1}",
                "brand": _BRANDS[brand],
                "categories": f"Beauty, {group}, {name}",
                "description": f"A {first.lower()} and {second.lower()} {name.lower()} by {_BRANDS[brand]}.",
            }
        )
    return pd.DataFrame(rows)
