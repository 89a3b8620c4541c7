-- The view of sales, with an order whose event the log has no more.
DELETE FROM outbox WHERE payment = 'pay_{sale}_restored';
INSERT INTO sale_figures_dropped (sale_id, figure, minute, about, currency, n, amount_minor) VALUES
    ('{sale}-limited', 'sold', floor(extract(epoch FROM '2026-03-01 12:00:02Z'::timestamptz) / 60)::integer, 'A', 'EUR', 1, 0),
    ('{sale}-limited', 'paid', 0, '', 'EUR', 1, 0);
INSERT INTO sale_figures SELECT * FROM sale_figures_dropped WHERE sale_id = '{sale}-limited';
