"""Drives Pulumi's command line: the engine as a process, a stack of a project, what it tells and what it complains of."""
