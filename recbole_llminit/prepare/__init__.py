"""Raw data in, RecBole atomic files with item texts and a data card out."""
