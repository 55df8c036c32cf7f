"""The page of `glassnet look`: one HTML file with what every layer makes of a picture."""
