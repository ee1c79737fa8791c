"""What an order costs."""

from typing import Any

from orchestrator_core import JSON, AttemptContext, Event

PRICES = {"kettle": 34.5, "teapot": 61.0, "spoon": 1.1}


def price(event: Event, context: AttemptContext) -> JSON:
    """Return the order's total, for the webhook that goes out."""
    order: Any = event.data
    total = round(order["count"] * PRICES[order["article"]], 2)
    context.log(f"{order['customer']} pays {total:.2f}")
    return {"total": total}
