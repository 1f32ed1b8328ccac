#!/usr/bin/env bash
# What the GitHub Action and the GitLab template run: compare, check, comment. Everything comes by the environment, so that
# no name of a branch, file or author is ever part of a script.
#   SPEC       the agent stack                     BASE      revision to compare with
#   POLICIES   file of policies, or empty          RENDERED  folder to hold against the stack, or empty
#   NUMBER     request to comment on, or empty     PROJECT API KIND TOKEN_VARIABLE   where that is
# Exit code: 0; 1 where a policy is broken or the folder is not as rendered; 2 for bad input; 3 where the site fails.
set -uo pipefail

text="$(mktemp)"
trap 'rm -f "$text"' EXIT
worst=0
note() { if [ "$1" -gt "$worst" ]; then worst="$1"; fi; }

if git cat-file -e "${BASE}:${SPEC}" 2>/dev/null; then
    agentgpu diff "${BASE}:${SPEC}" "$SPEC" --format markdown >"$text" || exit $?
    against=(--against "${BASE}:${SPEC}")
else
    agentgpu plan "$SPEC" --format markdown >"$text" || exit $?
    against=()
fi

if [ -n "${POLICIES:-}" ]; then
    found="$(agentgpu check "$SPEC" --policies "$POLICIES" ${against[@]+"${against[@]}"} --format markdown)"
    code=$?
    if [ "$code" -gt 1 ]; then exit "$code"; fi
    note "$code"
    printf '\n%s\n' "$found" >>"$text"
fi

if [ -n "${RENDERED:-}" ]; then
    agentgpu render "$SPEC" --check "$RENDERED"
    code=$?
    if [ "$code" -gt 1 ]; then exit "$code"; fi
    note "$code"
    if [ "$code" -eq 1 ]; then
        printf '\nThe rendered folder is not as this stack renders it: run agentgpu render, and commit.\n' >>"$text"
    fi
fi

cat "$text"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then cat "$text" >>"$GITHUB_STEP_SUMMARY"; fi
if [ -n "${NUMBER:-}" ]; then
    agentgpu comment "$NUMBER" --text "$text" --project "$PROJECT" --kind "$KIND" --api "$API" \
        --token-variable "$TOKEN_VARIABLE" || exit $?
fi
exit "$worst"
