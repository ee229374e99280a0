-- A small shop: tables with keys in both directions, a view, a function, a trigger, an enum, a sequence, binary and text
-- of every kind. What a restore must bring back.
CREATE TYPE status AS ENUM ('new', 'paid', 'shipped');
CREATE TABLE customer (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, city text COLLATE "C", photo bytea);
CREATE TABLE orders (
  id bigserial PRIMARY KEY,
  customer_id integer NOT NULL REFERENCES customer ON DELETE CASCADE,
  state status NOT NULL DEFAULT 'new',
  total numeric(10, 2) CHECK (total >= 0),
  placed timestamptz NOT NULL,
  note text
);
CREATE INDEX ON orders (placed DESC) WHERE state <> 'shipped';
CREATE TABLE audit (at timestamptz, what text);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (now(), TG_OP); RETURN NEW; END $$;
INSERT INTO customer (name, city, photo)
  SELECT 'Grüße № ' || n || E'\t\\N "quoted" ''too''', (ARRAY['Berlin', 'São Paulo', '東京', NULL])[1 + n % 4], decode(md5(n::text), 'hex')
  FROM generate_series(1, 2000) n;
INSERT INTO orders (customer_id, state, total, placed, note)
  SELECT 1 + n % 2000, (ARRAY['new', 'paid', 'shipped']::status[])[1 + n % 3], n / 7.0, timestamptz '2026-01-01' + n * interval '7 minutes',
         CASE WHEN n % 5 = 0 THEN NULL WHEN n % 5 = 1 THEN '' ELSE repeat('note ' || n, n % 9) END
  FROM generate_series(1, 50000) n;
CREATE TRIGGER orders_audit AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note_change();
CREATE VIEW revenue AS SELECT city, sum(total) AS total FROM orders JOIN customer ON customer.id = customer_id GROUP BY city;
COMMENT ON TABLE orders IS 'what was bought, and when';
