-- Somebody who writes that no ticket came is answered by what became of the mails of their order.
CREATE INDEX mails_order ON mails (order_id) WHERE order_id IS NOT NULL;
