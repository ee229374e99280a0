-- What of a database's catalogue must be equal before and after.
SELECT table_name, table_type, engine, table_collation, auto_increment
  FROM information_schema.tables
  WHERE table_schema = DATABASE()
  ORDER BY 1;
SELECT table_name, column_name, ordinal_position, column_type, is_nullable, column_default, extra
  FROM information_schema.columns
  WHERE table_schema = DATABASE()
  ORDER BY 1, 3;
SELECT table_name, index_name, seq_in_index, column_name, non_unique
  FROM information_schema.statistics
  WHERE table_schema = DATABASE()
  ORDER BY 1, 2, 3;
SELECT table_name, constraint_name, constraint_type
  FROM information_schema.table_constraints
  WHERE table_schema = DATABASE()
  ORDER BY 1, 2;
SELECT routine_name, routine_type, SHA2(routine_definition, 256)
  FROM information_schema.routines
  WHERE routine_schema = DATABASE()
  ORDER BY 1;
SELECT trigger_name, event_object_table, action_timing, SHA2(action_statement, 256)
  FROM information_schema.triggers
  WHERE trigger_schema = DATABASE()
  ORDER BY 1;
