"""What RecBole's evaluation lacks."""
