import json
import shlex

import pytest

from agent_client.engine.recipes import ENGINES, ServeOptions, sglang, sglang_router, vllm
from agent_client.errors import ConfigError

II_SEARCH = "Intelligent-Internet/II-Search-4B"
SCALING = '{"rope_type":"yarn","factor":1.5,"original_max_position_embeddings":98304}'


def line(engine: str, **options: object) -> str:
    make, port = ENGINES[engine]
    given = {"model": II_SEARCH, "port": port, **options}
    return make(ServeOptions(**given)).shell_line()  # pyright: ignore[reportArgumentType]


def test_sglang_serves_the_search_model_as_its_card_says() -> None:
    assert line("sglang") == (
        f"python3 -m sglang.launch_server --model-path {II_SEARCH}"
        " --served-model-name II-Search-4B --host 127.0.0.1 --port 30000"
        " --tool-call-parser qwen --reasoning-parser qwen3 --context-length 131072"
        " --json-model-override-args"
        f""" '{{"rope_scaling":{SCALING},"max_position_embeddings":131072}}'"""
        " --tp-size 1 --dp-size 1 --mem-fraction-static 0.85"
        " --enable-metrics --enable-cache-report --sleep-on-idle"
    )


@pytest.mark.parametrize(
    ("model", "is_scaled"),
    [
        ("II-Search-4B.Q4_K_M.gguf", True),
        ("x/II-Search-4B-MLX", True),
        ("x/ii-search-4b-gguf-q8_0", True),
        ("x/II-Search-4B-Instruct-2507", False),
    ],
)
def test_a_model_is_known_however_it_is_packed(model: str, is_scaled: bool) -> None:
    assert ("--yarn-orig-ctx 98304" in line("llama.cpp", model=model)) == is_scaled


def test_vllm_serves_the_search_model_as_its_card_says() -> None:
    rope = SCALING.replace("}", ',"rope_theta":1000000}')
    assert line("vllm") == (
        f"vllm serve {II_SEARCH} --served-model-name II-Search-4B --host 127.0.0.1 --port 8000"
        " --enable-auto-tool-choice --tool-call-parser hermes --reasoning-parser qwen3"
        f""" --max-model-len 131072 --hf-overrides '{{"rope_parameters":{rope}}}'"""
        " --tensor-parallel-size 1 --data-parallel-size 1 --enable-prompt-tokens-details"
    )


def test_llama_cpp_serves_a_gguf_file_of_the_search_model() -> None:
    assert line("llama.cpp", model="models/II-Search-4B.gguf") == (
        "llama-server --model models/II-Search-4B.gguf --alias II-Search-4B --host 127.0.0.1"
        " --port 8080 --jinja --ctx-size 131072 --parallel 1 --rope-scaling yarn --rope-scale 1.5"
        " --yarn-orig-ctx 98304 --metrics"
    )


def test_mlx_takes_the_model_as_it_is() -> None:
    assert line("mlx") == f"mlx_lm.server --model {II_SEARCH} --host 127.0.0.1 --port 8080"


def test_the_router_keeps_a_prompt_where_its_prefix_is_cached() -> None:
    workers = ["http://127.0.0.1:30001/", "https://gpu.example"]
    assert sglang_router(workers, has_key=True).shell_line() == (
        "python3 -m sglang_router.launch_router"
        " --worker-urls http://127.0.0.1:30001 https://gpu.example"
        ' --policy cache_aware --host 127.0.0.1 --port 30000 --api-key "$SEEKLING_API_KEY"'
    )


def test_the_given_numbers_and_extra_arguments_reach_the_command() -> None:
    command = line(
        "sglang", tp=2, dp=4, mem_fraction=0.85, port=31000, extra=("--log-level", "a b")
    )
    assert "--port 31000" in command
    assert "--tp-size 2 --dp-size 4 --mem-fraction-static 0.85" in command
    assert command.endswith("--sleep-on-idle --log-level 'a b'")


def override(model: str, context_tokens: int) -> object:
    options = ServeOptions(model=model, port=1, context_tokens=context_tokens)
    argv = sglang(options).argv
    flag = "--json-model-override-args"
    return json.loads(argv[argv.index(flag) + 1]) if flag in argv else None


@pytest.mark.parametrize("tokens", [1_024, 98_304, 131_072])
def test_the_search_model_is_always_scaled_by_the_factor_of_its_card(tokens: int) -> None:
    assert override(II_SEARCH, tokens) == {
        "rope_scaling": json.loads(SCALING),
        "max_position_embeddings": tokens,
    }


def test_other_models_are_scaled_only_beyond_what_they_know_and_only_so_far() -> None:
    assert override("Qwen/Qwen3-4B", 0) is None
    assert override("Qwen/Qwen3-4B", 40_960) is None
    assert override("Qwen/Qwen3-4B", 131_072) == {
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 32_768,
        },
        "max_position_embeddings": 131_072,
    }


def test_a_model_outside_the_table_gets_no_guesses_but_a_note() -> None:
    recipe = sglang(ServeOptions(model="someone/else-7b", port=1, context_tokens=65_536))
    command = recipe.shell_line()
    assert "--tool-call-parser auto --reasoning-parser auto --context-length 65536" in command
    assert "override" not in command
    assert "not in Seekling's table" in recipe.notes[0]
    assert "--reasoning-parser" not in vllm(ServeOptions(model="someone/else-7b", port=1)).argv


@pytest.mark.parametrize(
    ("engine", "start", "end"),
    [
        ("sglang", "python3 ", ' --api-key "$SEEKLING_API_KEY"'),
        ("vllm", 'VLLM_API_KEY="$SEEKLING_API_KEY" vllm serve ', ""),
        ("llama.cpp", 'LLAMA_API_KEY="$SEEKLING_API_KEY" llama-server ', ""),
    ],
)
def test_the_key_stands_in_the_line_as_a_name_only(engine: str, start: str, end: str) -> None:
    command = line(engine, has_key=True, host="0.0.0.0")
    assert command.startswith(start) and command.endswith(end)


def test_a_program_is_told_apart_from_the_command_how_to_hand_the_key_over() -> None:
    recipe = sglang(ServeOptions(model=II_SEARCH, port=1, has_key=True)).as_json()
    assert recipe["api_key"] == {"from": "SEEKLING_API_KEY", "flag": "--api-key", "variable": ""}
    assert not any("KEY" in word for word in recipe["argv"])  # pyright: ignore
    assert sglang(ServeOptions(model=II_SEARCH, port=1)).as_json()["api_key"] is None


def test_a_name_with_shell_characters_stays_one_word() -> None:
    command = line("sglang", model="a b/$(touch x)")
    assert shlex.split(command)[4] == "a b/$(touch x)"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"host": "0.0.0.0"}, "would answer anybody"),
        ({"host": "::"}, "would answer anybody"),
        ({"host": "gpu.example"}, "would answer anybody"),
        ({"host": "127.0.0.1 --trust-remote-code"}, "not a host"),
        ({"port": 0}, "between 1 and 65535"),
        ({"port": 65_536}, "between 1 and 65535"),
        ({"tp": 0}, "at least 1"),
        ({"mem_fraction": 1.0}, "between 0 and 1"),
        ({"mem_fraction": float("nan")}, "between 0 and 1"),
        ({"context_tokens": -1}, "--context-tokens"),
        ({"model": ""}, "not a model"),
        ({"model": "--help"}, "not a model"),
    ],
)
def test_options_that_would_start_something_wrong_are_refused(
    options: dict[str, object], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        line("sglang", **options)


def test_loopback_needs_no_key() -> None:
    for host in ("localhost", "127.0.0.9", "::1"):
        assert f"--host {host}" in line("sglang", host=host)


def test_mlx_knows_no_key_and_is_not_opened_to_others() -> None:
    with pytest.raises(ConfigError, match="knows no key"):
        line("mlx", host="0.0.0.0", has_key=True)


@pytest.mark.parametrize("engine", ["llama.cpp", "mlx"])
def test_what_an_engine_does_not_know_is_refused_instead_of_dropped(engine: str) -> None:
    with pytest.raises(ConfigError, match="mean nothing to"):
        line(engine, tp=2)


@pytest.mark.parametrize(
    ("worker", "reason"),
    [
        ("127.0.0.1:30001", "not a worker"),
        ("http://127.0.0.1:30001/v1", "without /v1|not a worker"),
        ("http://127.0.0.1:99999", "not a worker"),
        ("--policy", "not a worker"),
        ("http://localhost:30000", "cannot share port"),
    ],
)
def test_the_router_takes_servers_only(worker: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        sglang_router([worker])


def test_a_router_without_servers_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs servers"):
        sglang_router([])
