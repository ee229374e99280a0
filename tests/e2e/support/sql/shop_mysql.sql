-- A small shop for MariaDB and MySQL: text and bytes of every kind, keys, a view, a trigger and routines.
CREATE TABLE customer (
  id int AUTO_INCREMENT PRIMARY KEY, name varchar(200) NOT NULL, city varchar(40), photo blob, born date, doc json,
  UNIQUE KEY by_name (name)
) DEFAULT CHARSET=utf8mb4;
CREATE TABLE orders (
  id int PRIMARY KEY, customer_id int NOT NULL, total decimal(10,2), placed datetime(6), note longtext,
  CONSTRAINT of_customer FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE CASCADE,
  CONSTRAINT positive CHECK (total >= 0)
);
CREATE TABLE audit (at timestamp NULL, what varchar(20));
INSERT INTO customer (name, city, photo, born, doc)
  WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 500)
  SELECT CONCAT('Grüße № ', n, '\t\\N "quoted" ''too'' \n 😀'), ELT(1 + n % 4, 'Berlin', 'São Paulo', '東京', NULL),
         UNHEX(CONCAT("00FF0A0D1A27225C", SHA2(n, 256))), DATE '1970-01-01' + INTERVAL n DAY, JSON_OBJECT('n', n) FROM n;
INSERT INTO orders
  WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 900)
  SELECT n, 1 + n % 500, n / 7, TIMESTAMP '2026-01-01 00:00:00.123456' + INTERVAL n HOUR,
         IF(n % 5 = 0, NULL, REPEAT(CONCAT('note; ', n, ' -- '), n % 9)) FROM n;
CREATE VIEW revenue AS SELECT city, SUM(total) AS total FROM orders JOIN customer ON customer.id = customer_id
  GROUP BY city;
DELIMITER //
CREATE TRIGGER orders_audit AFTER INSERT ON orders FOR EACH ROW BEGIN INSERT INTO audit VALUES (NOW(), 'new'); END//
CREATE PROCEDURE count_orders (OUT found int) BEGIN SELECT COUNT(*) INTO found FROM orders; END//
CREATE FUNCTION half (x int) RETURNS int DETERMINISTIC BEGIN RETURN x DIV 2; END//
DELIMITER ;
