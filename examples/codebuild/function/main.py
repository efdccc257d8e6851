"""A function for AWS Lambda: greets whoever is named in the query."""


def handler(event, context):
    name = (event.get("queryStringParameters") or {}).get("name", "world")
    return {"statusCode": 200, "body": f"Hello, {name}!"}
