-- The image of a sale: which one it has, and the file. Files are small, see package picture.
ALTER TABLE sales ADD COLUMN image jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(image) = 'object');

CREATE TABLE sale_images (
    sale_id text PRIMARY KEY REFERENCES sales,
    hash    text NOT NULL CHECK (hash ~ '^[0-9a-f]{32}$'),
    file    bytea NOT NULL CHECK (octet_length(file) BETWEEN 1 AND 8388608) -- a JPEG
);
