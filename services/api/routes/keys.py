"""`/keys`: the API keys of the caller's own tenant.

An admin key sees, makes and revokes keys of its tenant and of no other. Keys for another tenant
are made where the file is, with `twofold keys`: whoever can write the file is the operator.
"""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from services.api.auth import Doorkeeper
from services.api.described import fails
from services.api.parts import Tenant
from twofold.apikeys import KeyFile, public
from twofold.errors import KeyNotFound, KeysUnchangeable, NotFound, StorageFull
from twofold.schema import ApiKey, CreateKey, KeyList, NewApiKey

router = APIRouter(tags=["keys"])


async def door(request: Request) -> Doorkeeper:
    """Who lets callers in."""
    keeper: Doorkeeper = request.app.state.door
    return keeper


Door = Annotated[Doorkeeper, Depends(door)]


async def key_file(door: Door) -> KeyFile:
    """Where the keys are.

    Raises:
        KeysUnchangeable: This server asks for none.
    """
    if door.file is None:
        raise KeysUnchangeable(
            reason="this server asks for none; TWOFOLD_API_KEYS_FILE names the file that holds them"
        )
    return door.file


File = Annotated[KeyFile, Depends(key_file)]


@router.post(
    "/keys",
    status_code=201,
    operation_id="create_key",
    summary="Make a key",
    responses=fails(KeysUnchangeable, StorageFull),
)
async def create_key(body: CreateKey, file: File, door: Door, tenant: Tenant) -> NewApiKey:
    """Make a key for your tenant. It is shown in this answer and nowhere else, ever."""
    made = await asyncio.to_thread(
        file.create,
        name=body.name,
        tenant=tenant,
        scopes=body.scopes,
        expires_at=body.expires_at(datetime.now(UTC)),
    )
    door.look_again()
    return made


@router.get(
    "/keys",
    operation_id="list_keys",
    summary="List keys",
    responses=fails(KeysUnchangeable),
)
async def list_keys(file: File, tenant: Tenant) -> KeyList:
    """The keys of your tenant, expired ones too; a key itself cannot be shown again."""
    keys = await asyncio.to_thread(file.read)
    return KeyList(keys=[public(key) for key in keys if key.tenant == tenant])


@router.delete(
    "/keys/{key_id}",
    operation_id="revoke_key",
    summary="Revoke a key",
    responses=fails(NotFound, KeyNotFound, KeysUnchangeable, StorageFull),
)
async def revoke_key(
    key_id: Annotated[str, Path(max_length=64, description="As the list has it.")],
    file: File,
    door: Door,
    tenant: Tenant,
) -> ApiKey:
    """Revoke a key of your tenant: every replica refuses it a second later at the latest."""
    revoked = await asyncio.to_thread(file.revoke, key_id, tenant=tenant)
    door.look_again()
    return revoked
