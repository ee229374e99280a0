-- The small shop again, in the words that MariaDB and MySQL share.
CREATE TABLE customer (id int AUTO_INCREMENT PRIMARY KEY, name varchar(200) NOT NULL, city varchar(60), photo varbinary(64));
CREATE TABLE orders (
  id bigint AUTO_INCREMENT PRIMARY KEY,
  customer_id int NOT NULL,
  state enum('new', 'paid', 'shipped') NOT NULL DEFAULT 'new',
  total decimal(10, 2) CHECK (total >= 0),
  placed datetime(6) NOT NULL,
  note text,
  KEY (placed),
  FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE CASCADE
);
CREATE TABLE audit (at timestamp(6) NOT NULL, what varchar(200));
INSERT INTO customer (name, city, photo)
  WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
  SELECT concat('Grüße № ', n, '\t\\N "quoted" ''too'''), elt(1 + n % 4, 'Berlin', 'São Paulo', '東京', NULL), unhex(sha2(n, 256)) FROM n;
INSERT INTO orders (customer_id, state, total, placed, note)
  SELECT a.id, elt(1 + (a.id + b.id) % 3, 'new', 'paid', 'shipped'), a.id / 7, '2026-01-01' + INTERVAL a.id * b.id MINUTE,
         elt(1 + a.id % 3, NULL, '', repeat('note ', b.id))
  FROM customer a JOIN customer b ON b.id <= 20;
CREATE VIEW revenue AS SELECT city, sum(total) AS total FROM orders JOIN customer ON customer.id = customer_id GROUP BY city;
CREATE TRIGGER orders_audit AFTER INSERT ON orders FOR EACH ROW INSERT INTO audit VALUES (now(6), 'insert');
