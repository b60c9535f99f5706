"""Turns text into numbers, counts drizzle as rain, and leaves out days that are incomplete or impossible."""
import csv
import json
import os

NUMBERS = ("precipitation", "temp_max", "temp_min", "wind")


def cleaned(record):
    try:
        figures = {name: float(record[name]) for name in NUMBERS}
    except ValueError:
        return None
    if figures["temp_max"] < figures["temp_min"] or figures["precipitation"] < 0:
        return None
    weather = "rain" if record["weather"] == "drizzle" else record["weather"]
    return {"location": record["location"], "day": record["date"], **figures, "weather": weather}


with open(os.path.join(os.environ["KEELSON_INPUT_DIR"], "extract", "new-york.csv"), newline="") as file:
    records = list(csv.DictReader(file))
rows = [row for row in map(cleaned, records) if row is not None]
print(f"{len(rows)} of {len(records)} days are good")

# `key:=JSON` is an output with a type; `key=value` would be text.
with open(os.environ["KEELSON_OUTPUT"], "a") as output:
    output.write(f"rows:={json.dumps(rows)}\n")
    output.write(f"rejected:={len(records) - len(rows)}\n")
