-- Text is put in order by its bytes, as Go does it, whatever collation the
-- database has: statements say COLLATE "C". Only refunds are read by pages in such
-- an order; this index gives them.
DROP INDEX refunds_of_sale;
CREATE INDEX refunds_of_sale ON refunds (sale_id, payment COLLATE "C");
