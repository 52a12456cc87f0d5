"""The URL of a model server says everything but the secret."""

import pytest

from twofold.errors import ConfigurationError
from twofold.remote import EmbedOptions, RerankOptions, parse_remote


def test_a_setting_names_dialect_url_and_options() -> None:
    remote = parse_remote("cohere+https://host:8443/base/?model=rerank-v3.5&key_env=MY_KEY")
    assert remote.dialect == "cohere"
    assert remote.url == "https://host:8443/base"
    options = RerankOptions.read(remote)
    assert (options.model, options.key_env) == ("rerank-v3.5", "MY_KEY")


def test_plain_http_leaves_the_dialect_open() -> None:
    assert parse_remote("http://host:8000").dialect is None


@pytest.mark.parametrize(
    "setting",
    [
        "jina+http://user:hunter2@host",
        "jina+http://hunter2@host?model=m",
        "jina+http://:hunter2@host",
    ],
)
def test_a_secret_in_the_url_is_refused_and_not_repeated(setting: str) -> None:
    with pytest.raises(ConfigurationError, match="key_env") as caught:
        parse_remote(setting)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    ["", "jina", "ftp://host", "jina+ftp://host", "gradio+http://host", "jina+http://",
     "jina+http://host:notaport", "jina+http://[::1", "jina+http://host?model=a&model=b"],
)  # fmt: skip
def test_what_is_no_url_of_a_model_server_is_refused_with_a_sentence(setting: str) -> None:
    with pytest.raises(ConfigurationError, match="is not usable"):
        parse_remote(setting)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("api_key=hunter2", "option 'api_key'.*it takes model, key_env"),
        ("timeout=0", "option 'timeout'"),
        ("batch=many", "option 'batch'"),
        ("dimensions=512", "option 'dimensions'"),
        ("template=llama", "option 'template'"),
    ],
)
def test_an_unknown_or_impossible_option_is_named_without_its_value(
    query: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        RerankOptions.read(parse_remote(f"jina+http://host?{query}"))
    assert "hunter2" not in str(caught.value)


def test_the_key_comes_from_the_environment_variable_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = EmbedOptions.read(parse_remote("openai+http://host?key_env=MODEL_KEY"))
    monkeypatch.setenv("MODEL_KEY", "sesame")
    assert options.api_key() == "sesame"
    monkeypatch.delenv("MODEL_KEY")
    with pytest.raises(ConfigurationError, match="MODEL_KEY"):
        options.api_key()
