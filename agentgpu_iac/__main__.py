"""``python -m agentgpu_iac``: the ``agentgpu`` command, for where its script is not on the path."""

from agentgpu_iac.cli.main import run

if __name__ == "__main__":
    run()
