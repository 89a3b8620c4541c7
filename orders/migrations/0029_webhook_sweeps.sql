-- A deleted endpoint goes at once, with its URL and its secrets; its row stays until what it was sent is forgotten, in steps.
ALTER TABLE webhook_endpoints ADD COLUMN deleted_at timestamptz;
-- What is due next is found without reading all that is pending.
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint, due_at, event_row) WHERE state = 'pending';
