--
-- PostgreSQL database dump
--

\restrict 6cfe5c892f014590b1ba03471400886c5412ee18f221397d3084c835c902e69b

-- Dumped from database version 17.12 (Debian 17.12-0+deb13u1)
-- Dumped by pg_dump version 17.12 (Debian 17.12-0+deb13u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: SCHEMA "public"; Type: COMMENT; Schema: -; Owner: pg_database_owner
--

COMMENT ON SCHEMA "public" IS 'standard public schema';


--
-- Name: twice(integer); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION "public"."twice"("n" integer) RETURNS integer
    LANGUAGE "sql"
    AS $$SELECT 2 * n$$;


ALTER FUNCTION "public"."twice"("n" integer) OWNER TO "postgres";

SET default_tablespace = '';

SET default_table_access_method = "heap";

--
-- Name: item; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE "public"."item" (
    "id" integer NOT NULL,
    "name" "text",
    "photo" "bytea"
);


ALTER TABLE "public"."item" OWNER TO "postgres";

--
-- Name: item_id_seq; Type: SEQUENCE; Schema: public; Owner: postgres
--

ALTER TABLE "public"."item" ALTER COLUMN "id" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME "public"."item_id_seq"
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: named; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW "public"."named" AS
 SELECT "id"
   FROM "public"."item"
  WHERE ("name" IS NOT NULL);


ALTER VIEW "public"."named" OWNER TO "postgres";

--
-- Name: nothing; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE "public"."nothing" (
);


ALTER TABLE "public"."nothing" OWNER TO "postgres";

--
-- Data for Name: item; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY "public"."item" ("id", "name", "photo") FROM stdin;
1	tab\t quote ' 😀	\\x00ff
2	\N	\N
3		\\x
\.


--
-- Data for Name: nothing; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY "public"."nothing"  FROM stdin;
\.


--
-- Name: item_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('"public"."item_id_seq"', 3, true);


--
-- Name: item item_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY "public"."item"
    ADD CONSTRAINT "item_pkey" PRIMARY KEY ("id");


--
-- PostgreSQL database dump complete
--

\unrestrict 6cfe5c892f014590b1ba03471400886c5412ee18f221397d3084c835c902e69b

