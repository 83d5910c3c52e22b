"""Item vectors as data: tables with a card, made from text or brought in, aligned to RecBole's ids."""
