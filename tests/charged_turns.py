"""The turns of a database with what was charged for each."""

import sqlalchemy as sa

from bot.store.schema import charges, turns

_CHARGED = ("input_tokens", "output_tokens", "cached_input_tokens", "web_searches", "cost_usd")
CHARGED_TURNS = (
    sa.select(turns, *(charges.c[name] for name in _CHARGED))
    .outerjoin_from(turns, charges, turns.c.charge_id == charges.c.id)
    .order_by(turns.c.id)
)
