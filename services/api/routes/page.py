"""`/`: the page for people, and its files below `/page/`."""

from fastapi import APIRouter, Request, Response

from services.api.page import ASSETS, POLICY

router = APIRouter(include_in_schema=False)


async def page(request: Request) -> Response:
    """A file of the page; the same for everybody."""
    asset = ASSETS[request.scope["path"]]
    return Response(
        asset.body, media_type=asset.media_type, headers={"Content-Security-Policy": POLICY}
    )


for path in ASSETS:
    router.add_api_route(path, page, methods=["GET", "HEAD"])
