"""Makes the small pictures of the shop."""


def run(event, context):
    """The size of a picture that fits into 200 pixels."""
    width, height = event["width"], event["height"]
    scale = min(1.0, 200 / max(width, height))
    return {"width": round(width * scale), "height": round(height * scale)}
