"""From raw data to RecBole's atomic files, item texts and a data card.

A `recipe` says which raw data and which filters; `pipeline.prepare` makes them local (`inputs`, `download`),
reads them into two tables (`sources`), filters step by step (`filters`) on DuckDB or Spark (`engine`), and
puts the files into the dataset's folder together (`writing`). Nothing is exported here: Ibis is imported with
the modules that need it.
"""
