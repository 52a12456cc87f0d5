"""What Twofold costs and how well it ranks; see CONTRIBUTING.md. Each file is a command."""
