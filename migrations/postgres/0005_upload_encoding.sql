-- The encoding of a file by its name in the WHATWG's Encoding Standard; none for files taken in before it was kept, of
-- which utf8 tells.
ALTER TABLE uploads ADD COLUMN encoding TEXT;
