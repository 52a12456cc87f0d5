#!/bin/sh
# Make what the processes use to trust each other, once:
#
#   sh infra/secrets.sh            into ./secrets, for docker compose and Kubernetes
#   sh infra/secrets.sh FOLDER     into another folder
#
# What is there stays as it is; to change a secret, delete its files and start everything anew.
# Only you can enter the folder. What is in it can be read by all, because inside a container the
# reader is another user than you.
set -eu

folder=${1:-secrets}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

random() {
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

write() {
    if [ ! -e "$folder/$1" ]; then
        printf '%s' "$2" >"$folder/$1.new"
        chmod 444 "$folder/$1.new"
        mv "$folder/$1.new" "$folder/$1"
        echo "made $folder/$1"
    fi
}

write redis_password "$(random)"
password=$(cat "$folder/redis_password")
write twofold_redis_url "redis://:$password@redis:6379/0"
# Who knows the password may do all but administer; who does not may ask whether Redis is well.
write redis_acl "user default on >$password ~* &* +@all -@admin
user health on nopass resetkeys resetchannels -@all +ping
"

write twofold_qdrant_api_key "$(random)"
write qdrant_config "service:
  api_key: $(cat "$folder/twofold_qdrant_api_key")
"

# Who may use the API: nobody yet. `twofold keys create` changes this file, which holds hashes.
mkdir -p "$folder/keys"
chmod 755 "$folder/keys"
if [ ! -e "$folder/keys/api_keys.json" ]; then
    write keys/api_keys.json '{"keys": []}'
    chmod 644 "$folder/keys/api_keys.json"
fi
