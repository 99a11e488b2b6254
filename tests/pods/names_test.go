package pods

import (
	"net"

	"golang.org/x/net/dns/dnsmessage"
)

// answerNames is the DNS of all Pods. It knows one name, that of the database.
func answerNames() error {
	socket, err := net.ListenPacket("udp4", net.JoinHostPort(address, "53"))
	if err != nil {
		return err
	}
	go func() {
		buffer := make([]byte, 512)
		for {
			length, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			if reply, err := answer(buffer[:length]); err == nil {
				_, _ = socket.WriteTo(reply, from)
			}
		}
	}()
	return nil
}

func answer(query []byte) ([]byte, error) {
	var message dnsmessage.Message
	if err := message.Unpack(query); err != nil {
		return nil, err
	}
	message.Response, message.RecursionAvailable, message.Additionals = true, true, nil
	question := message.Questions[0]
	switch {
	case question.Name.String() != databaseName+".":
		message.RCode = dnsmessage.RCodeNameError
	case question.Type == dnsmessage.TypeA:
		message.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(address).To4())},
		}}
	}
	return message.Pack()
}
