-- What of a database's catalogue must be equal before and after.
SELECT n.nspname, c.relname, c.relkind, pg_get_userbyid(c.relowner), c.relacl
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
  ORDER BY 1, 2;
SELECT table_schema, table_name, column_name, data_type, column_default, is_nullable, collation_name
  FROM information_schema.columns
  WHERE table_schema !~ '^pg_'
  AND table_schema <> 'information_schema'
  ORDER BY 1, 2, ordinal_position;
SELECT conname, pg_get_constraintdef(oid)
  FROM pg_constraint
  WHERE connamespace = 'public'::regnamespace
  ORDER BY 1;
SELECT indexdef
  FROM pg_indexes
  WHERE schemaname = 'public'
  ORDER BY 1;
SELECT proname, md5(pg_get_functiondef(oid))
  FROM pg_proc
  WHERE pronamespace = 'public'::regnamespace
  ORDER BY 1;
SELECT pg_get_triggerdef(oid)
  FROM pg_trigger
  WHERE NOT tgisinternal
  ORDER BY 1;
SELECT sequencename, last_value
  FROM pg_sequences
  ORDER BY 1;
