-- Who takes a sale's money. Sales that exist are MockPay's, and so are payments and
-- sessions whose ids have no provider in front ('other/pi_1'), which is how those of two
-- providers stay apart in payments, refunds and the outbox.
ALTER TABLE sales ADD COLUMN provider text NOT NULL DEFAULT 'mockpay' CHECK (provider ~ '^[a-z][a-z0-9-]{0,31}$');
