#!/usr/bin/env python3
"""Holds messages against config/schemas by a validator that has nothing to do with this program: python3-jsonschema.

Reads one object a line from standard input: {"what": words, "schema": name, "value": message, "valid": what must come out}.
With "strict": true a field that the schema does not know is a fault too. (Readers pass such fields over; but what we write
ourselves must be in the schema.) Prints each line that came out otherwise, and then how many were looked at.
"""

import copy
import datetime
import json
import pathlib
import sys

import jsonschema

HERE = pathlib.Path(__file__).resolve().parent
SCHEMAS = HERE.parent.parent / "config" / "schemas"
COMMON = "linekeeper.common.v1"

dates = jsonschema.FormatChecker(formats=())


@dates.checks("date-time", raises=ValueError)
def is_date(value):
    if isinstance(value, str):
        # Python 3.11 reads more than RFC 3339 allows; the offset is what may be missing.
        if datetime.datetime.fromisoformat(value).tzinfo is None or "T" not in value:
            raise ValueError(value)
    return True


def load(name):
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


def everywhere(schema, change):
    """Calls `change` on every object in a schema, examples and enumerations left alone."""
    if isinstance(schema, dict):
        change(schema)
        for key, below in schema.items():
            if key not in ("examples", "enum", "const"):
                everywhere(below, change)
    elif isinstance(schema, list):
        for below in schema:
            everywhere(below, change)


def near(schema):
    reference = schema.get("$ref")
    if isinstance(reference, str):
        schema["$ref"] = reference.removeprefix(f"{COMMON}.json")


def closed(schema):
    if isinstance(schema.get("properties"), dict):
        schema.setdefault("additionalProperties", False)


def validator(name, strict):
    schema = load(name)
    schema["$defs"] = copy.deepcopy(load(COMMON)["$defs"])
    everywhere(schema, near)
    if strict:
        everywhere(schema, closed)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=dates)


def main():
    validators, looked, wrong = {}, 0, 0
    for line in sys.stdin:
        case = json.loads(line)
        key = (case["schema"], case.get("strict", False))
        if key not in validators:
            validators[key] = validator(*key)
        faults = sorted(validators[key].iter_errors(case["value"]), key=lambda e: list(map(str, e.absolute_path)))
        looked += 1
        if bool(faults) == case["valid"]:
            wrong += 1
            print(f"{case['what']}: {case['schema']} {'refuses' if faults else 'takes'} it")
            for fault in faults[:3]:
                fault = max(fault.context, key=lambda e: len(e.absolute_path), default=fault)
                place = "/".join(map(str, fault.absolute_path))
                print(f"  at /{place}: {fault.message[:300]}")
    print(f"{looked} values, {wrong} otherwise than expected")
    return 1 if wrong or not looked else 0


if __name__ == "__main__":
    sys.exit(main())
