"""What an order costs."""

from typing import Any

from orchestrator_core import JSON, AttemptContext, Event, Reject


def price(event: Event, context: AttemptContext) -> JSON:
    """Return the order's total, or reject an order of nothing."""
    order: Any = event.data
    if order["count"] < 1:
        raise Reject(f"count is {order['count']}: an order is for one or more")
    total = order["count"] * order["price"]
    context.log(f"{order['customer']} pays {total:.2f}")
    return {"customer": order["customer"], "total": total}
