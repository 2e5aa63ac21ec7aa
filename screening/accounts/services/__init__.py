"""What can be done to people, invitations, passwords and tokens. One module a noun."""
