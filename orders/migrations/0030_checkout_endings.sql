-- Events of checkouts that ended without a sale name no payment: this keeps a repeat from
-- writing one twice. Rows of orders and sales are not in it and cost nothing more.
CREATE UNIQUE INDEX outbox_endings ON outbox (order_id, event) WHERE payment IS NULL AND order_id IS NOT NULL;
