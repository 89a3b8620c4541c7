-- Nothing: the number is taken by a migration that is not there yet.
SELECT;
