"""A SSH server that takes passwords, for the unit tests: an sshd needs PAM and a system account for that.

usage: ssh_password_server.py DIR KIND     KIND: password, interactive, second-question, expired, none

Writes its port to DIR/port once it listens and one line to DIR/attempts for every secret it was offered. DIR/password: another password from
then on.
"""

import os
import socket
import sys
import threading

import paramiko

DIR, KIND = sys.argv[1], sys.argv[2]
USER, PASSWORD = "admin", "p\u00e4ss 'word'"


def note(what):
    with open(DIR + "/attempts", "a", encoding="utf-8") as f:
        f.write(what + "\n")


def is_password(text):
    try:
        with open(DIR + "/password", encoding="utf-8") as f:
            return text == f.read()
    except FileNotFoundError:
        return text == PASSWORD


class Server(paramiko.ServerInterface):
    def get_allowed_auths(self, username):
        return {"password": "password,keyboard-interactive", "none": "hostbased"}.get(KIND, "keyboard-interactive")

    def check_auth_password(self, username, password):
        note("password " + password)
        good = username == USER and is_password(password)
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_auth_interactive(self, username, submethods):
        if KIND == "password":
            note("interactive")
            return paramiko.AUTH_FAILED
        return paramiko.InteractiveQuery("", "", ("Domain: ", True), ("Password: ", False))

    def check_auth_interactive_response(self, responses):
        note("answers " + "|".join(responses))
        if KIND == "second-question" and len(responses) == 2:
            return paramiko.InteractiveQuery("", "", ("Code: ", False))
        good = len(responses) == 2 and responses[0] == "" and is_password(responses[1])
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        def answer():
            channel.sendall(b"hello\r\n")
            channel.send_exit_status(0)
            channel.close()

        threading.Timer(0.05, answer).start()
        return True


def serve(connection, key):
    try:
        t = paramiko.Transport(connection)
        t.add_server_key(key)
        t.start_server(server=Server())
    except (paramiko.SSHException, EOFError, OSError):
        pass


def main():
    key = paramiko.ECDSAKey.from_private_key_file(DIR + "/host_ecdsa")
    listener = socket.create_server(("127.0.0.1", 0))
    with open(DIR + "/port.new", "w", encoding="ascii") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(DIR + "/port.new", DIR + "/port")
    while True:
        serve(listener.accept()[0], key)


main()
