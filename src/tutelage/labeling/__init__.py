"""The rules of human labeling: what is asked, what may be saved, who may do what. No file and no clock."""
