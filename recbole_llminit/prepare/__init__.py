"""Make RecBole's atomic files, item texts and a data card from raw data.

A `recipe` names the raw data and the filters. `pipeline.prepare` fetches the raw files (`inputs`,
`download`), reads them into a table of interactions and one of items (`sources`), applies the filters
(`filters`) on DuckDB or Spark (`engine`), and moves the finished files into the dataset's folder (`writing`).
Nothing is exported here, so that Ibis is imported only by the modules that need it.
"""
